/*
 * OpenSSL's own DTLS 1.2, both ends in this process with nothing between them but memory: the reference for `dtls.ts`.
 *
 *   dtls-openssl records CIPHER OCTETS SECONDS        pairs of SSL_write and SSL_read
 *   dtls-openssl handshakes CERT KEY SECONDS full     handshakes with both certificates
 *   dtls-openssl handshakes CERT KEY SECONDS resumed
 *
 * Prints how many a second of processor time.
 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char identity[] = "bench";
static const unsigned char secret[32] = {1};

static void stop(const char *what)
{
    fprintf(stderr, "%s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static unsigned int client_psk(SSL *ssl, const char *hint, char *name, unsigned int room, unsigned char *key,
                               unsigned int most)
{
    (void)ssl, (void)hint;
    if (room < sizeof identity || most < sizeof secret) return 0;
    memcpy(name, identity, sizeof identity);
    memcpy(key, secret, sizeof secret);
    return sizeof secret;
}

static unsigned int server_psk(SSL *ssl, const char *name, unsigned char *key, unsigned int most)
{
    (void)ssl, (void)name;
    if (most < sizeof secret) return 0;
    memcpy(key, secret, sizeof secret);
    return sizeof secret;
}

static int accept_any(int good, X509_STORE_CTX *store)
{
    (void)good, (void)store;
    return 1;
}

static SSL_CTX *context(const SSL_METHOD *method, const char *ciphers)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (!ctx || !SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION) || !SSL_CTX_set_cipher_list(ctx, ciphers))
        stop("the context was refused");
    SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU);
    return ctx;
}

static SSL *end(SSL_CTX *ctx)
{
    SSL *ssl = SSL_new(ctx);
    if (!ssl) stop("no connection");
    SSL_set_mtu(ssl, 1600);
    return ssl;
}

/* What one end writes is what the other reads. */
static void join(SSL *client, SSL *server)
{
    BIO *up = BIO_new(BIO_s_mem()), *down = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(up, -1);
    BIO_set_mem_eof_return(down, -1);
    BIO_up_ref(up);
    BIO_up_ref(down);
    SSL_set_bio(client, down, up);
    SSL_set_bio(server, up, down);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
}

static void handshake(SSL *client, SSL *server)
{
    for (int turn = 0; turn < 20; turn++) {
        int a = SSL_do_handshake(client), b = SSL_do_handshake(server);
        if (a == 1 && b == 1) return;
    }
    stop("the handshake did not end");
}

static double cpu_seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

static double records(const char *cipher, int octets, double seconds)
{
    char list[128];
    snprintf(list, sizeof list, "%s:@SECLEVEL=0", cipher);
    SSL_CTX *near = context(DTLS_client_method(), list), *far = context(DTLS_server_method(), list);
    SSL_CTX_set_psk_client_callback(near, client_psk);
    SSL_CTX_set_psk_server_callback(far, server_psk);
    SSL *client = end(near), *server = end(far);
    join(client, server);
    handshake(client, server);
    static unsigned char payload[16384], received[16384];
    double from = cpu_seconds();
    long count = 0;
    for (int warm = 1; warm >= 0; warm--) {
        double until = cpu_seconds() + (warm ? 0.1 : seconds);
        from = cpu_seconds();
        count = 0;
        while (cpu_seconds() < until)
            for (int i = 0; i < 500; i++, count++)
                if (SSL_write(client, payload, octets) != octets || SSL_read(server, received, sizeof received) != octets)
                    stop("a record was lost");
    }
    return count / (cpu_seconds() - from);
}

static double handshakes(const char *certificate, const char *key, double seconds, int resumes)
{
    SSL_CTX *near = context(DTLS_client_method(), "ECDHE-ECDSA-AES128-GCM-SHA256");
    SSL_CTX *far = context(DTLS_server_method(), "ECDHE-ECDSA-AES128-GCM-SHA256");
    SSL_CTX *both[] = {near, far};
    for (int i = 0; i < 2; i++) {
        if (SSL_CTX_use_certificate_file(both[i], certificate, SSL_FILETYPE_PEM) != 1 ||
            SSL_CTX_use_PrivateKey_file(both[i], key, SSL_FILETYPE_PEM) != 1)
            stop("certificate or key was refused");
        SSL_CTX_set1_groups_list(both[i], "X25519:P-256");
    }
    SSL_CTX_set_verify(near, SSL_VERIFY_PEER, accept_any);
    SSL_CTX_set_verify(far, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
    SSL_CTX_set_session_id_context(far, (const unsigned char *)identity, sizeof identity);
    SSL_SESSION *session = NULL;
    double from = cpu_seconds();
    long count = 0;
    for (; count < 20 || cpu_seconds() < from + seconds; count++) {
        SSL *client = end(near), *server = end(far);
        join(client, server);
        if (session) SSL_set_session(client, session);
        handshake(client, server);
        if (resumes && session && !SSL_session_reused(client)) stop("the session was not taken up");
        if (resumes && !session) {
            session = SSL_get1_session(client);
            from = cpu_seconds();
            count = 0;
        }
        /* A session whose connection ends without a word cannot be taken up again. */
        SSL_shutdown(client);
        SSL_free(client);
        SSL_free(server);
    }
    return count / (cpu_seconds() - from);
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "records"))
        printf("%f\n", records(argv[2], atoi(argv[3]), atof(argv[4])));
    else if (argc == 6 && !strcmp(argv[1], "handshakes"))
        printf("%f\n", handshakes(argv[2], argv[3], atof(argv[4]), !strcmp(argv[5], "resumed")));
    else
        stop("see the head of dtls-openssl.c");
    return 0;
}
