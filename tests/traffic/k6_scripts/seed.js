import http from 'k6/http';
import { check, sleep } from 'k6';

export const options = {
  scenarios: {
    normal: { executor: 'constant-arrival-rate', rate: 5, timeUnit: '1s', duration: '5m', preAllocatedVUs: 10, maxVUs: 10 },
    peak: {
      executor: 'ramping-arrival-rate', startRate: 10, timeUnit: '1s',
      stages: [ { target: 1000, duration: '1m' }, { target: 1000, duration: '2m' }, { target: 10, duration: '30s' } ],
      preAllocatedVUs: 50,
    },
    stress: {
      executor: 'ramping-arrival-rate', startRate: 10, timeUnit: '1s',
      stages: [ { target: 10, duration: '30s' }, { target: 100, duration: '1m' }, { target: 500, duration: '1m' },
        { target: 1000, duration: '1m' }, { target: 10, duration: '30s' } ],
      preAllocatedVUs: 50,
    },
  },
  thresholds: { http_req_duration: ['p(95)<200'], http_req_failed: [{ threshold: 'rate<0.05', abortOnFail: true, delayAbortEval: '10s' }] },
};

export default function () {
  const url = 'http://127.0.0.1:8080/api/v1/coupons/issue';
  const body = JSON.stringify({ userId: Math.floor(Math.random() * 100000), couponCode: 'COUPON2025' });
  const res = http.post(url, body, { headers: { 'Content-Type': 'application/json' } });
  check(res, { 'status is 200': (r) => r.status === 200 });
  sleep(1);
}
