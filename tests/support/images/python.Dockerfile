ARG BASE
FROM $BASE
COPY host /host
COPY apt.sh /
RUN sh /apt.sh python3 python3-pip python3-venv \
    && ln -s python3 /usr/bin/python && rm -f /usr/lib/python3*/EXTERNALLY-MANAGED \
    && cp -r /host/etc/ssl /host/etc/pip.conf* /etc/ ; rm -rf /host /apt.sh
# The image that is made from this one asks the builder's package index as well.
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
