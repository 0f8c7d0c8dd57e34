"use strict";
const http = require('k6/http');
const { sleep } = require('k6');

module.exports.options = { vus: 4, duration: '12s' };

module.exports.default = function () {
  http.get('http://127.0.0.1:8080/old');
  sleep(1.5);
};
