ARG BASE
FROM $BASE
COPY host /host
COPY apt.sh /
RUN sh /apt.sh prometheus-postgres-exporter && rm -rf /host /apt.sh \
    && ln -s /usr/bin/prometheus-postgres-exporter /bin/postgres_exporter
