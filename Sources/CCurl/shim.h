#pragma once
#include <curl/curl.h>
#include <string.h>

// libcurl's options are variadic, which Swift cannot call.

struct baton_fetched {
    unsigned char *bytes;
    size_t size;
    size_t room;
};

static inline size_t baton_fetch_write(char *data, size_t unit, size_t count, void *context) {
    struct baton_fetched *fetched = (struct baton_fetched *)context;
    size_t size = unit * count;
    // Less than was given ends the transfer: the answer is too long.
    if (size > fetched->room - fetched->size) return 0;
    memcpy(fetched->bytes + fetched->size, data, size);
    fetched->size += size;
    return size;
}

/// GETs an https URL, with its certificate checked and without following redirects. `*size` is the room in `bytes` and
/// then what was written. Returns the HTTP status, or 0 with a text in `error` (CURL_ERROR_SIZE bytes). Blocks.
static inline long baton_fetch(const char *url, long timeout_milliseconds, unsigned char *bytes, size_t *size, char *error) {
    error[0] = 0;
    CURL *curl = curl_easy_init();
    if (!curl) return 0;
    struct baton_fetched fetched = {bytes, 0, *size};
    long status = 0;
    curl_easy_setopt(curl, CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
#else
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS);
#endif
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_milliseconds);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "baton");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, baton_fetch_write);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &fetched);
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_OK) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    } else if (!error[0]) {
        strncpy(error, curl_easy_strerror(code), CURL_ERROR_SIZE - 1);
    }
    curl_easy_cleanup(curl);
    *size = fetched.size;
    return status;
}
