# An image with nothing in it but the program and the certificates of public CAs. The program is one of `cargo xtask dist`:
#
#   cargo xtask dist --target x86_64-unknown-linux-musl
#   docker build --build-arg TARGET=x86_64-unknown-linux-musl -t buildcache .
#   docker run --rm -v "$PWD:/work" buildcache inspect type=local,src=cache
#
# Without a network, or with certificates of one's own: --build-context certificates=DIR, with etc/ssl/certs below it.
FROM alpine:3.22 AS certificates
RUN apk add --no-cache ca-certificates

FROM scratch
ARG TARGET=x86_64-unknown-linux-musl
COPY --from=certificates /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY target/assets/${TARGET}/bin/buildcache /bin/buildcache
WORKDIR /work
ENTRYPOINT ["/bin/buildcache"]
