ARG BASE
FROM $BASE
COPY host /host
COPY apt.sh /
RUN sh /apt.sh prometheus-alertmanager && rm -rf /host /apt.sh \
    && ln -s prometheus-alertmanager /usr/bin/alertmanager \
    && mkdir -p /alertmanager && chown 65534:65534 /alertmanager
