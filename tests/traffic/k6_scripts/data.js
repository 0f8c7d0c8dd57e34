import http from 'k6/http';
import { SharedArray } from 'k6/data';
import papaparse from 'https://jslib.k6.io/papaparse/5.1.1/index.js';

const users = new SharedArray('users', () => JSON.parse(open('./users.json')).users);
const rows = papaparse.parse(open('./rows.csv'), { header: true }).data;

export const options = { vus: 10, duration: '1m' };

export default function () {
  const user = users[Math.floor(Math.random() * users.length)];
  http.post('http://127.0.0.1:8080/login', JSON.stringify({ name: user.name, row: rows[0].id, fixed: 1 }));
}
