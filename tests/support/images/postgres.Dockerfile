ARG BASE
FROM $BASE
COPY host /host
COPY apt.sh postgres.sh /
RUN sh /apt.sh postgresql && rm -rf /host /apt.sh /var/lib/postgresql/15 \
    && mkdir -p /var/lib/postgresql/data && chown postgres: /var/lib/postgresql/data \
    && mkdir -p /run/postgresql && chmod 3777 /run/postgresql
ENTRYPOINT ["sh", "/postgres.sh"]
