// import nothing from './comment.js';
/* import x from './block.js';
   export const options = { vus: 1 }; */
import http, { get as fetchIt } from 'k6/http'; import * as k6 from 'k6';
import {
  SharedArray, // import y from './inner.js'
} from 'k6/data';
import data from './data.json' with { type: 'json' };

const text = `
import z from './template.js';
${`nested ${'import q from "./deep.js"'} }`} }
`;
const pattern = /import a from '.\/regex.js'["'`]/g;
const half = 4 / 2 / 1;
const word = { import: 1, from: 'k6', export: { from: 'x' } };

export const options = { vus: half, duration: '7s' };
export { fetchIt };

export default function () {
  k6.sleep(word.import);
  http.get('http://127.0.0.1:8080/t', { tags: { name: text.length + pattern.source } });
}
