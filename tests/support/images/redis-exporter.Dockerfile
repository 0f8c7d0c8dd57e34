ARG BASE
FROM $BASE
COPY host /host
COPY apt.sh /
RUN sh /apt.sh prometheus-redis-exporter && rm -rf /host /apt.sh \
    && ln -s /usr/bin/prometheus-redis-exporter /redis_exporter
