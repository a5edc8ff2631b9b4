# baresip, a SIP phone without a sound card: it answers and gives back what it hears.

FROM debian:sid-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends baresip-core \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --shell /usr/sbin/nologin phone \
    && install -d -o phone /etc/baresip
COPY --chown=phone config/docker/phone/ /etc/baresip/
USER phone
CMD ["baresip", "-f", "/etc/baresip"]
