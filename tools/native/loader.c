/* Loads a native library as Envoy does, and lets it answer requests: `loader LIBRARY CONFIG`.
 *
 * For processors on which no Envoy runs here: what it prints is the same on every one of them. It
 * is no Envoy: of the callbacks, only what a request header needs does anything; every other one
 * (tools/native.mk makes them from the list) answers 0, which is "no" or "not there". Types and
 * arguments are those of source/extensions/dynamic_modules/abi/abi.h in Envoy 1.39. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUESTS 64
#define CALLBACK(name) envoy_dynamic_module_callback_##name
#define HOOK(name) hook("envoy_dynamic_module_on_" #name)

typedef struct {
  const char *bytes;
  size_t length;
} Buffer;

static void *library;
static char cookie[64];
/* What the library set for the request under way. */
static char decision[256];

static Buffer text(const char *bytes) { return (Buffer){bytes, strlen(bytes)}; }

static bool is(Buffer buffer, const char *expected) {
  return buffer.length == strlen(expected) && memcmp(buffer.bytes, expected, buffer.length) == 0;
}

uint32_t CALLBACK(get_concurrency)(void) { return 1; }

bool CALLBACK(http_get_header)(void *stream, uint32_t map, Buffer key, Buffer *value, size_t index, size_t *count) {
  const char *found = NULL;
  if (map == 0 && is(key, ":authority")) found = "shop.example.com";
  if (map == 0 && is(key, ":path")) found = "/";
  if (map == 0 && is(key, ":method")) found = "GET";
  if (map == 0 && is(key, "cookie")) found = cookie;
  if (count != NULL) *count = found != NULL;
  *value = found != NULL && index == 0 ? text(found) : (Buffer){NULL, 0};
  return found != NULL && index == 0;
}

bool CALLBACK(http_set_header)(void *stream, uint32_t map, Buffer key, Buffer value) {
  size_t used = strlen(decision);
  snprintf(decision + used, sizeof decision - used, " %.*s: %.*s", (int)key.length, key.bytes, (int)value.length,
           value.bytes == NULL ? "" : value.bytes);
  return true;
}

static void *hook(const char *name) {
  void *found = dlsym(library, name);
  if (found == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  return found;
}

static Buffer read_whole(const char *path) {
  static char bytes[1 << 20];
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    perror(path);
    exit(1);
  }
  size_t length = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  return (Buffer){bytes, length};
}

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: loader LIBRARY CONFIG\n");
    return 2;
  }
  library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  int anything; /* stands for Envoy's objects, which nobody looks into */
  const char *(*program_init)(void) = HOOK(program_init);
  void *(*config_new)(void *, Buffer, Buffer) = HOOK(http_filter_config_new);
  void (*config_destroy)(void *) = HOOK(http_filter_config_destroy);
  void *(*filter_new)(void *, void *) = HOOK(http_filter_new);
  uint32_t (*request_headers)(void *, void *, bool) = HOOK(http_filter_request_headers);
  void (*stream_complete)(void *, void *) = HOOK(http_filter_stream_complete);
  void (*filter_destroy)(void *) = HOOK(http_filter_destroy);

  printf("interface %s\n", program_init());
  void *config = config_new(&anything, text("shop.sluice~sidecar~shop"), read_whole(arguments[2]));
  if (config == NULL) {
    fprintf(stderr, "the configuration was refused\n");
    return 1;
  }
  for (int request = 0; request < REQUESTS; request++) {
    snprintf(cookie, sizeof cookie, "theme=dark; visitor=user-%d", request);
    decision[0] = 0;
    void *filter = filter_new(config, &anything);
    uint32_t status = request_headers(&anything, filter, true);
    printf("user-%d: status %u%s\n", request, status, decision);
    stream_complete(&anything, filter);
    filter_destroy(filter);
  }
  config_destroy(config);
  return 0;
}
