/*
 * What the machine gives any program: one datagram for each connection an interval, sent at absolute deadlines of
 * clock_nanosleep, and the time between those that come. A second thread sends, so that neither waits for the other.
 *
 *   io-floor ADDRESS PEER PORT CONNECTIONS MICROSECONDS OCTETS
 *
 * Says "ready"; begins to count with the first line of input, and answers the second with its figures as JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

/* A minute of 1 ms, and some more. */
enum { most_connections = 1024, most_samples = 70000 };

struct connection {
  uint32_t *samples;
  uint32_t used, last_count, lost, late;
  int64_t last_ns;
};

static struct connection received[most_connections];
static atomic_uint turns_sent;
static int descriptor, connections, octets;
static int64_t interval_ns;
static struct sockaddr_in peer;
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *send_all(void *unused) {
  (void)unused;
  uint8_t *datagram = calloc(1, (size_t)octets);
  /* Deadlines on whole milliseconds, as ours are. */
  int64_t due = (now_ns() / 1000000 + 1) * 1000000;
  for (uint32_t turn = 1;; turn += 1, due += interval_ns) {
    struct timespec t = {due / 1000000000, due % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    for (uint32_t i = 0; i < (uint32_t)connections; i += 1) {
      memcpy(datagram, &i, 4);
      memcpy(datagram + 4, &turn, 4);
      sendto(descriptor, datagram, (size_t)octets, MSG_DONTWAIT, (struct sockaddr *)&peer, sizeof peer);
    }
    turns_sent += 1;
  }
  return NULL;
}

static void *receive_all(void *unused) {
  (void)unused;
  uint8_t datagram[2048];
  for (;;) {
    if (recv(descriptor, datagram, sizeof datagram, 0) < 8) continue;
    int64_t now = now_ns();
    uint32_t number, count;
    memcpy(&number, datagram, 4);
    memcpy(&count, datagram + 4, 4);
    if (number >= (uint32_t)connections) continue;
    pthread_mutex_lock(&counting);
    struct connection *one = &received[number];
    if (one->last_ns > 0 && one->used < most_samples) {
      int64_t between = now - one->last_ns;
      one->samples[one->used++] = (uint32_t)(between / 1000);
      if (count == one->last_count + 1 && between > interval_ns + interval_ns / 2) one->late += 1;
      if (count > one->last_count + 1) one->lost += count - one->last_count - 1;
    }
    one->last_ns = now;
    one->last_count = count;
    pthread_mutex_unlock(&counting);
  }
  return NULL;
}

static int by_size(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static double cpu_seconds(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static uint32_t quantile(const struct connection *one, double share) {
  return one->used == 0 ? 0 : one->samples[(uint32_t)(share * (one->used - 1))];
}

static int wait_for_line(void) {
  char line[16];
  return fgets(line, sizeof line, stdin) != NULL;
}

int main(int count, char **words) {
  if (count != 7) return 2;
  connections = atoi(words[4]);
  interval_ns = (int64_t)atoi(words[5]) * 1000;
  octets = atoi(words[6]);
  if (connections < 1 || connections > most_connections || interval_ns < 1000000 || octets < 8 || octets > 1400) return 2;
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[3]))};
  peer = local;
  if (inet_pton(AF_INET, words[1], &local.sin_addr) != 1 || inet_pton(AF_INET, words[2], &peer.sin_addr) != 1) return 2;
  descriptor = socket(AF_INET, SOCK_DGRAM, 0);
  int buffer = 2 << 20;
  setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  if (bind(descriptor, (struct sockaddr *)&local, sizeof local) != 0) return 1;
  for (int i = 0; i < connections; i += 1) received[i].samples = malloc(most_samples * sizeof(uint32_t));
  pthread_t sender, receiver;
  pthread_create(&receiver, NULL, receive_all, NULL);
  pthread_create(&sender, NULL, send_all, NULL);
  puts("\"ready\"");
  fflush(stdout);

  if (!wait_for_line()) return 0;
  pthread_mutex_lock(&counting);
  for (int i = 0; i < connections; i += 1) received[i].used = received[i].lost = received[i].late = 0;
  pthread_mutex_unlock(&counting);
  uint32_t sent_before = turns_sent;
  double cpu_before = cpu_seconds();
  int64_t began = now_ns();
  puts("\"counting\"");
  fflush(stdout);

  if (!wait_for_line()) return 0;
  double seconds = (double)(now_ns() - began) / 1e9;
  double cpu = cpu_seconds() - cpu_before;
  double sent = (turns_sent - sent_before) / seconds;
  printf("{\"cpuPercent\":%.3f,\"connections\":[", cpu / seconds * 100);
  pthread_mutex_lock(&counting);
  for (int i = 0; i < connections; i += 1) {
    struct connection *one = &received[i];
    double rate = one->used / seconds;
    qsort(one->samples, one->used, sizeof(uint32_t), by_size);
    printf("%s{\"sentPerSecond\":%.3f,\"receivedPerSecond\":%.3f,\"lost\":%u,\"late\":%u,", i == 0 ? "" : ",", sent, rate,
           one->lost, one->late);
    printf("\"p1\":%u,\"p50\":%u,\"p99\":%u,\"p999\":%u}", quantile(one, 0.01), quantile(one, 0.5), quantile(one, 0.99),
           quantile(one, 0.999));
  }
  puts("]}");
  fflush(stdout);
  return 0;
}
