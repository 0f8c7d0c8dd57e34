ARG BASE
FROM $BASE
COPY host /host
COPY apt.sh /
RUN sh /apt.sh redis-server && rm -rf /host /apt.sh
RUN mkdir -p /data && chown redis: /data
