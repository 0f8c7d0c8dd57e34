import http from 'k6/http';

const RATE = Number(__ENV.RATE || 50);

export const options = {
  scenarios: {
    open: {
      executor: 'constant-arrival-rate',
      rate: RATE,
      duration: __ENV.DURATION || '20s',
      preAllocatedVUs: RATE * 2,
    },
  },
};

export default function () {
  http.put(`${__ENV.BASE || 'http://127.0.0.1:8080'}/things/7`, JSON.stringify({ on: true }), { timeout: '3s' });
}
