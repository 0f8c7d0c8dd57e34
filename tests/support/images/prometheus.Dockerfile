ARG BASE
FROM $BASE
COPY host /host
COPY apt.sh /
RUN sh /apt.sh prometheus && rm -rf /host /apt.sh && mkdir -p /prometheus && chown 65534:65534 /prometheus
