/* A DTLS 1.2 client or server on wolfSSL that speaks as long as its standard input is open: what it receives it prints,
   what it reads it sends.
   usage: wolfssl-dtls client|server ADDRESS PORT SUITE-NAME CERT KEY CLIENT-AUTH(0|1) PSK-IDENTITY PSK-HEX MTU(0 = none) */
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *identity;
static unsigned char psk[64];
static unsigned int psk_length;

static unsigned int client_psk(WOLFSSL *s, const char *hint, char *id, unsigned int id_max, unsigned char *key, unsigned int key_max) {
  (void)s; (void)hint; (void)key_max;
  strncpy(id, identity, id_max);
  memcpy(key, psk, psk_length);
  return psk_length;
}

static unsigned int server_psk(WOLFSSL *s, const char *id, unsigned char *key, unsigned int key_max) {
  (void)s; (void)key_max;
  if (strcmp(id, identity) != 0) return 0;
  memcpy(key, psk, psk_length);
  return psk_length;
}

static int accept_any(int ok, WOLFSSL_X509_STORE_CTX *store) {
  (void)ok; (void)store;
  return 1;
}

static void must(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "%s failed\n", what);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc < 11) return 2;
  int server = strcmp(argv[1], "server") == 0;
  int asks = argv[7][0] == '1';
  identity = argv[8];
  psk_length = (unsigned int)strlen(argv[9]) / 2;
  for (unsigned int i = 0; i < psk_length; i++) sscanf(argv[9] + 2 * i, "%2hhx", &psk[i]);
  wolfSSL_Init();
  WOLFSSL_CTX *ctx = wolfSSL_CTX_new(server ? wolfDTLSv1_2_server_method() : wolfDTLSv1_2_client_method());
  must(ctx != NULL, "context");
  if (server || asks) {
    must(wolfSSL_CTX_use_certificate_file(ctx, argv[5], WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS, "certificate");
    must(wolfSSL_CTX_use_PrivateKey_file(ctx, argv[6], WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS, "key");
  }
  int is_psk = strstr(argv[4], "PSK") != NULL;
  if (is_psk && server) wolfSSL_CTX_set_psk_server_callback(ctx, server_psk);
  if (is_psk && !server) wolfSSL_CTX_set_psk_client_callback(ctx, client_psk);
  must(wolfSSL_CTX_set_cipher_list(ctx, argv[4]) == WOLFSSL_SUCCESS, "suite");
  wolfSSL_CTX_set_verify(ctx, server && !asks ? WOLFSSL_VERIFY_NONE : WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[3]))};
  inet_pton(AF_INET, argv[2], &address.sin_addr);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  WOLFSSL *ssl = NULL;
  if (server) must(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
  printf("READY\n");
  fflush(stdout);
  if (server) {
    char peeked[2048];
    socklen_t length = sizeof address;
    must(recvfrom(fd, peeked, sizeof peeked, MSG_PEEK, (struct sockaddr *)&address, &length) > 0, "receive");
    must(connect(fd, (struct sockaddr *)&address, length) == 0, "connect");
  }
  ssl = wolfSSL_new(ctx);
  must(ssl != NULL, "session");
  wolfSSL_dtls_set_peer(ssl, &address, sizeof address);
  wolfSSL_set_fd(ssl, fd);
#ifdef WOLFSSL_DTLS_MTU
  if (atoi(argv[10]) > 0) wolfSSL_dtls_set_mtu(ssl, (unsigned short)atoi(argv[10]));
#endif
  int code = server ? wolfSSL_accept(ssl) : wolfSSL_connect(ssl);
  if (code != WOLFSSL_SUCCESS) {
    char text[80];
    fprintf(stderr, "handshake: %s\n", wolfSSL_ERR_error_string((unsigned long)wolfSSL_get_error(ssl, code), text));
    return 1;
  }
  printf("OPEN %s\n", wolfSSL_get_cipher_name(ssl));
  fflush(stdout);
  struct pollfd fds[2] = {{.fd = 0, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
  for (;;) {
    char buffer[4096];
    if (poll(fds, 2, -1) < 0) break;
    if (fds[0].revents) {
      ssize_t got = read(0, buffer, sizeof buffer);
      if (got <= 0) break;
      wolfSSL_write(ssl, buffer, (int)got);
    }
    if (fds[1].revents) {
      int got = wolfSSL_read(ssl, buffer, sizeof buffer);
      if (got > 0) {
        fwrite(buffer, 1, (size_t)got, stdout);
        fflush(stdout);
      } else if (wolfSSL_get_error(ssl, got) == WOLFSSL_ERROR_ZERO_RETURN) break;
    }
  }
  wolfSSL_shutdown(ssl);
  return 0;
}
