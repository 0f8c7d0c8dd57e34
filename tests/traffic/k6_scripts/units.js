import http from 'k6/http';

export const options = {
  discardResponseBodies: true,
  scenarios: {
    slow: {
      executor: 'constant-arrival-rate',
      rate: 30, timeUnit: '1m', duration: '2m',
      preAllocatedVUs: 5, maxVUs: 25,
      startTime: '10s', gracefulStop: '0s',
    },
    odd: {
      executor: 'ramping-arrival-rate',
      startRate: 1, timeUnit: '7s',
      stages: [{ target: 7, duration: '0' }, { target: 14, duration: 90000 }],
      preAllocatedVUs: 5,
    },
    down: {
      executor: 'ramping-vus',
      startVUs: 10,
      stages: [{ target: 0, duration: '1.5m' }],
      gracefulRampDown: '5s',
    },
    few: { executor: 'shared-iterations', vus: 10, iterations: 200, maxDuration: '30s' },
  },
};

export default function () { http.get('http://127.0.0.1:8080/'); }
