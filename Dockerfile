# CPU:  docker build -t earshot .
# CUDA: docker build -t earshot:cuda --build-arg ONNXRUNTIME_CUDA=1 \
#         --build-arg BASE_IMAGE=nvidia/cuda:<13.x with cudnn, runtime, ubuntu24.04> .
# Run:  docker run --read-only -p 8080:8080 earshot          (CUDA: add --gpus all)
#
# For a build that can be repeated, give both images by digest: NODE_IMAGE=node@sha256:...
# onnxruntime-node needs glibc 2.28 and libstdc++, so no Alpine; its CUDA provider needs CUDA 13 and cuDNN 9.
#
# Checked without a container engine: the npm stages ran as commands, the rest was only read. Not built
# as an image yet, and never with CUDA.

ARG NODE_IMAGE=node:24-bookworm-slim
ARG BASE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS node

FROM node AS build
WORKDIR /app
ENV ONNXRUNTIME_NODE_INSTALL=skip
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json openapi.yaml ./
COPY src ./src
COPY page ./page
COPY scripts/build-openapi.mjs scripts/build-page.mjs ./scripts/
RUN npm run build

FROM node AS packages
WORKDIR /app
ENV ONNXRUNTIME_NODE_INSTALL=skip
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev
# The package brings the runtime for every platform; the image needs one of them.
RUN cd node_modules/onnxruntime-node/bin/napi-v6 \
    && arch="$(node -p process.arch)" \
    && find . -mindepth 1 -maxdepth 1 ! -name linux -exec rm -r {} + \
    && find linux -mindepth 1 -maxdepth 1 ! -name "$arch" -exec rm -r {} +

# Only where it is asked for, onnxruntime's CUDA provider is fetched from the network. In the image that it runs in, so
# that what the provider wants of CUDA and cuDNN is looked for there; the driver comes when the image is run.
FROM ${BASE_IMAGE} AS provider
ARG ONNXRUNTIME_CUDA=0
WORKDIR /app
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=packages /app/node_modules ./node_modules
COPY package.json ./
COPY scripts/add-cuda-provider.mjs scripts/cuda-libraries.mjs ./scripts/
RUN if [ "$ONNXRUNTIME_CUDA" = 1 ]; then \
      apt-get update && apt-get install -y --no-install-recommends binutils ca-certificates \
      && node scripts/add-cuda-provider.mjs --without-driver; \
    fi

FROM ${BASE_IMAGE} AS service
LABEL org.opencontainers.image.title="Earshot" org.opencontainers.image.licenses="MIT"
# ffmpeg is for the formats that the service does not decode by itself.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 10001 -g 10001 /var/spool/earshot
COPY --from=node /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
COPY --from=provider /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json openapi.yaml LICENSE NOTICE ./
COPY models ./models
COPY ontology ./ontology
ENV NODE_ENV=production PORT=8080 SPOOL_DIR=/var/spool/earshot
# The only place that is written to; a volume stays writable under --read-only.
VOLUME ["/var/spool/earshot"]
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/livez`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/main.js"]
