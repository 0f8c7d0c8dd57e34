import http from 'k6/http';
import { check } from 'k6';
import { Rate, Trend } from 'k6/metrics';

const errors = new Rate('errors');
const wait = new Trend('wait_time', true);

export const options = {
  scenarios: {
    Peak_Hour: { executor: 'constant-arrival-rate', rate: 100, duration: '1m', preAllocatedVUs: 50 },
  },
  thresholds: {
    http_req_duration: ['p(95)<500', 'p(99.9) < 2000', { threshold: 'max<5000', abortOnFail: false }],
    'http_req_duration{scenario:Peak_Hour}': [
      { threshold: 'avg<200', abortOnFail: true, delayAbortEval: '30s' },
    ],
    errors: ['rate<0.1'],
    checks: ['rate>0.99'],
    http_reqs: ['count>=1000'],
    dropped_iterations: ['count==0'],
  },
};

export default function () {
  const res = http.post('http://127.0.0.1:8080/pay', JSON.stringify({ amount: 5, tags: ['a', 'b'] }));
  errors.add(res.status >= 500);
  wait.add(res.timings.waiting);
  check(res, {
    'is fine': (r) => r.status >= 200 && r.status < 300 || r.status === 409,
    'is fast': (r) => r.timings.duration < 250,
    'has an id': (r) => r.json('id') === 7,
  });
}
