import http from 'k6/http';
import { sleep } from 'k6';

export const options = {
  stages: [
    { duration: '30s', target: 20 },
    { duration: '1m30s', target: 10 },
    { duration: '20s', target: 0 },
  ],
};

export default () => {
  const res = http.get('http://127.0.0.1:8080/items');
  sleep(Math.random() * 3);
};
