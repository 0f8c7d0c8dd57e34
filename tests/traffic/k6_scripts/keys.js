import http from 'k6/http';
import { randomIntBetween, uuidv4 } from 'https://jslib.k6.io/k6-utils/1.4.0/index.js';

http.setResponseCallback(http.expectedStatuses(200, 409, { min: 500, max: 503 }));

export const options = {
  scenarios: { keyed: { executor: 'constant-arrival-rate', rate: 2000, duration: '10s', preAllocatedVUs: 100, maxVUs: 400 } },
};

export default function () {
  const body = {
    userId: randomIntBetween(0, 4999),
    couponCode: 'WINTER-26',
    note: '100% {off}',
    at: Date.now(),
    nested: [{ who: `u${__VU}-${__ITER}` }],
  };
  http.post('http://127.0.0.1:8080/api?x={1}', JSON.stringify(body), {
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': uuidv4(), 'X-Api-Key': 'k-123', 'X-Kind': 'test' },
  });
}
