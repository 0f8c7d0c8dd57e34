import http from 'k6/http';
import { sleep } from 'k6';

const count = await Promise.resolve(8);

export const options = { vus: count, duration: '15s' };

export default async function () {
  const res = await http.asyncRequest('GET', 'http://127.0.0.1:8080/soon');
  await new Promise((done) => setTimeout(done, 1000));
  if (res.status === 200) sleep(0.1);
}
