ARG BASE
FROM $BASE
COPY host /host
COPY apt.sh /
RUN sh /apt.sh haproxy && rm -rf /host /apt.sh
