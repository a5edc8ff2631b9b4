# Asterisk 22 with config/asterisk/, the operator's example, as it is written there but for the
# gateway's address. Debian has Asterisk 22 in sid alone.

FROM debian:sid-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends asterisk \
    && rm -rf /var/lib/apt/lists/*
COPY config/asterisk/ /etc/asterisk/trunkline/
COPY config/docker/asterisk/ /etc/asterisk/
RUN sed -i 's/192\.0\.2\.10/10.77.77.10/' /etc/asterisk/trunkline/pjsip.conf \
    && install -d -o asterisk -g asterisk /run/asterisk
USER asterisk
CMD ["asterisk", "-f", "-n", "-vvv"]
