ARG BASE
FROM $BASE
COPY toxiproxy /toxiproxy
ENTRYPOINT ["/toxiproxy"]
