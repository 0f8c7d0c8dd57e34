import http from 'k6/http';
import { sleep } from 'k6';

export const options = { vus: 2, duration: '5s' };

export default function () {
  if (Math.random() < 0.3) {
    http.get('http://127.0.0.1:8080/a');
  } else {
    http.post('http://127.0.0.1:8080/b', JSON.stringify({ id: 1 }));
  }
  while (Math.random() < 0.5) sleep(0.001);
}
