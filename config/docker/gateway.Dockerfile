# The gateway, compiled in the first stage.
#
# BINARY: a file of the build context (target/docker/...) to take in place of compiling, for
# machines that cannot download a Rust toolchain, and for tests of what they have compiled.

FROM debian:trixie-slim AS build
ARG BINARY=
# rustup, because Debian's own Rust is older than Cargo.toml's rust-version; cmake and a C
# compiler build libopus from its own bundle.
RUN test -n "$BINARY" || { apt-get update \
    && apt-get install -y --no-install-recommends build-essential ca-certificates cmake rustup \
    && rm -rf /var/lib/apt/lists/* \
    && rustup default stable; }
WORKDIR /source
COPY . .
RUN mkdir /built && if test -n "$BINARY"; then cp "$BINARY" /built/trunkline; \
    else cargo build --release --locked --bin trunkline && cp target/release/trunkline /built/; fi

FROM debian:trixie-slim
RUN useradd --system --no-create-home --shell /usr/sbin/nologin trunkline
COPY --from=build /built/trunkline /usr/local/bin/trunkline
COPY config/docker/trunkline.toml /etc/trunkline/trunkline.toml
USER trunkline
EXPOSE 8080/tcp 5060/tcp 5060/udp 40000-40001/udp 20000-20999/udp
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["trunkline"]
CMD ["--config", "/etc/trunkline/trunkline.toml"]
