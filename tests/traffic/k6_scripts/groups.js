import http from 'k6/http';
import { group, sleep, check } from 'k6';

export const options = { vus: 3, duration: '10s' };

export function setup() { return { token: 'abc' }; }

export default function (data) {
  group('front', function () {
    http.batch([
      ['GET', 'http://127.0.0.1:8080/a.css'],
      { method: 'GET', url: 'http://127.0.0.1:8080/b.js' },
      'http://127.0.0.1:8080/c.png',
    ]);
  });
  group('order', () => {
    const res = http.post('http://127.0.0.1:8080/orders', 'a=1', { headers: { Authorization: `Bearer ${data.token}` } });
    check(res, { created: (r) => r.status === 201 });
  });
  sleep(1);
}
