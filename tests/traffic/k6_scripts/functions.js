import http from 'k6/http';
import { sleep } from 'k6';
import exec from 'k6/execution';

const base = 'http://127.0.0.1:8080';

export const options = {
  scenarios: {
    browse: { executor: 'constant-vus', vus: 5, duration: '30s', exec: 'browse', tags: { kind: 'read' } },
    buy: { executor: 'constant-vus', vus: 2, duration: '30s', exec: 'buy', env: { SIZE: '3' } },
  },
};

export function browse() {
  http.get(`${base}/list?page=1`);
  sleep(2);
}

export function buy() {
  http.post(`${base}/buy`, JSON.stringify({ user: exec.vu.idInTest }));
  sleep(0.25);
  sleep(0.25);
}

export function handleSummary(data) { return { stdout: JSON.stringify(data) }; }
