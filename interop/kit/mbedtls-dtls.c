/* A DTLS 1.2 client or server on Mbed TLS that speaks as long as its standard input is open: what it receives it prints,
   what it reads it sends.
   With CID=HEX in its environment it asks for that connection id, where the library has them.
   usage: mbedtls-dtls client|server ADDRESS PORT SUITE-HEX CERT KEY CLIENT-AUTH(0|1) PSK-IDENTITY PSK-HEX MTU(0 = none) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <unistd.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_cookie.h>
#include <mbedtls/timing.h>
#include <mbedtls/error.h>
#include <mbedtls/version.h>

static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context drbg;
static mbedtls_ssl_context ssl;
static mbedtls_ssl_config conf;
static mbedtls_ssl_cookie_ctx cookies;
static mbedtls_x509_crt cert;
static mbedtls_pk_context key;
static mbedtls_timing_delay_context timer;

static void must(int code, const char *what) {
  char text[200];
  if (code == 0) return;
  mbedtls_strerror(code, text, sizeof text);
  fprintf(stderr, "%s: -0x%04x %s\n", what, (unsigned)-code, text);
  exit(1);
}

static int accept_any(void *p, mbedtls_x509_crt *c, int depth, uint32_t *flags) {
  (void)p; (void)c; (void)depth;
  *flags = 0;
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 11) return 2;
  int server = strcmp(argv[1], "server") == 0;
  int suites[2] = {(int)strtol(argv[4], NULL, 16), 0};
  int mtu = atoi(argv[10]);
  unsigned char psk[64];
  size_t psk_length = strlen(argv[9]) / 2;
  for (size_t i = 0; i < psk_length; i++) sscanf(argv[9] + 2 * i, "%2hhx", &psk[i]);
  mbedtls_net_context listening, peer;
  mbedtls_net_init(&listening);
  mbedtls_net_init(&peer);
  mbedtls_entropy_init(&entropy);
  mbedtls_ctr_drbg_init(&drbg);
  mbedtls_ssl_init(&ssl);
  mbedtls_ssl_config_init(&conf);
  mbedtls_ssl_cookie_init(&cookies);
  mbedtls_x509_crt_init(&cert);
  mbedtls_pk_init(&key);
  must(mbedtls_ctr_drbg_seed(&drbg, mbedtls_entropy_func, &entropy, NULL, 0), "seed");
  must(mbedtls_x509_crt_parse_file(&cert, argv[5]), "certificate");
#if MBEDTLS_VERSION_MAJOR >= 3
  must(mbedtls_pk_parse_keyfile(&key, argv[6], NULL, mbedtls_ctr_drbg_random, &drbg), "key");
#else
  must(mbedtls_pk_parse_keyfile(&key, argv[6], NULL), "key");
#endif
  must(mbedtls_ssl_config_defaults(&conf, server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
                                   MBEDTLS_SSL_TRANSPORT_DATAGRAM, MBEDTLS_SSL_PRESET_DEFAULT), "defaults");
  mbedtls_ssl_conf_rng(&conf, mbedtls_ctr_drbg_random, &drbg);
  mbedtls_ssl_conf_ciphersuites(&conf, suites);
#if MBEDTLS_VERSION_MAJOR < 3
  mbedtls_ssl_conf_min_version(&conf, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#endif
  unsigned char cid[32];
  const char *cid_text = getenv("CID");
  size_t cid_length = cid_text == NULL ? 0 : strlen(cid_text) / 2;
  for (size_t i = 0; i < cid_length && i < sizeof cid; i++) sscanf(cid_text + 2 * i, "%2hhx", &cid[i]);
#ifdef MBEDTLS_SSL_DTLS_CONNECTION_ID
  if (cid_text != NULL) must(mbedtls_ssl_conf_cid(&conf, cid_length, MBEDTLS_SSL_UNEXPECTED_CID_IGNORE), "cid length");
#endif
  mbedtls_ssl_conf_verify(&conf, accept_any, NULL);
  int asks = argv[7][0] == '1';
  mbedtls_ssl_conf_authmode(&conf, !server || asks ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
  mbedtls_ssl_conf_ca_chain(&conf, &cert, NULL);
  if (server || asks) must(mbedtls_ssl_conf_own_cert(&conf, &cert, &key), "own certificate");
  must(mbedtls_ssl_conf_psk(&conf, psk, psk_length, (unsigned char *)argv[8], strlen(argv[8])), "psk");
  must(mbedtls_ssl_cookie_setup(&cookies, mbedtls_ctr_drbg_random, &drbg), "cookies");
  if (server) mbedtls_ssl_conf_dtls_cookies(&conf, mbedtls_ssl_cookie_write, mbedtls_ssl_cookie_check, &cookies);
  must(mbedtls_ssl_setup(&ssl, &conf), "setup");
  mbedtls_ssl_set_timer_cb(&ssl, &timer, mbedtls_timing_set_delay, mbedtls_timing_get_delay);
#ifdef MBEDTLS_SSL_DTLS_CONNECTION_ID
  if (cid_text != NULL) must(mbedtls_ssl_set_cid(&ssl, MBEDTLS_SSL_CID_ENABLED, cid, cid_length), "cid");
#endif
  if (mtu > 0) mbedtls_ssl_set_mtu(&ssl, (uint16_t)mtu);
  if (server) must(mbedtls_net_bind(&listening, argv[2], argv[3], MBEDTLS_NET_PROTO_UDP), "bind");
  else must(mbedtls_net_connect(&peer, argv[2], argv[3], MBEDTLS_NET_PROTO_UDP), "connect");
  printf("READY\n");
  fflush(stdout);
  int code;
  do {
    if (server) {
      unsigned char ip[16];
      size_t ip_length;
      mbedtls_net_free(&peer);
      mbedtls_ssl_session_reset(&ssl);
#ifdef MBEDTLS_SSL_DTLS_CONNECTION_ID
      if (cid_text != NULL) must(mbedtls_ssl_set_cid(&ssl, MBEDTLS_SSL_CID_ENABLED, cid, cid_length), "cid");
#endif
      must(mbedtls_net_accept(&listening, &peer, ip, sizeof ip, &ip_length), "accept");
      must(mbedtls_ssl_set_client_transport_id(&ssl, ip, ip_length), "transport id");
    }
    mbedtls_ssl_set_bio(&ssl, &peer, mbedtls_net_send, mbedtls_net_recv, mbedtls_net_recv_timeout);
    do code = mbedtls_ssl_handshake(&ssl);
    while (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE);
  } while (server && code == MBEDTLS_ERR_SSL_HELLO_VERIFY_REQUIRED);
  must(code, "handshake");
  printf("OPEN %s\n", mbedtls_ssl_get_ciphersuite(&ssl));
  fflush(stdout);
  struct pollfd fds[2] = {{.fd = 0, .events = POLLIN}, {.fd = peer.fd, .events = POLLIN}};
  for (;;) {
    unsigned char buffer[4096];
    if (poll(fds, 2, -1) < 0) break;
    if (fds[0].revents) {
      ssize_t got = read(0, buffer, sizeof buffer);
      if (got <= 0) break;
      mbedtls_ssl_write(&ssl, buffer, (size_t)got);
    }
    if (fds[1].revents) {
      code = mbedtls_ssl_read(&ssl, buffer, sizeof buffer);
      if (code == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) break;
      if (code > 0) {
        fwrite(buffer, 1, (size_t)code, stdout);
        fflush(stdout);
      }
    }
  }
  mbedtls_ssl_close_notify(&ssl);
  return 0;
}
