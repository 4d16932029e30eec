/* The floor: what an answer costs if nobody thinks about it. Takes queries with recvmmsg, writes one fixed A record
 * (TTL 30) behind the question, and sends the answers with sendmmsg. Listens on 127.0.0.1, port argv[1]. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 32, SIZE = 4096 };
static const char RECORD[16] = "\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\xc0\0\2\1";

int main(int argc, char **argv) {
    static unsigned char bytes[BATCH][SIZE];
    struct mmsghdr letters[BATCH];
    struct iovec slots[BATCH];
    struct sockaddr_in peers[BATCH];
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (argc < 2) return 2;
    own.sin_port = htons((unsigned short)atoi(argv[1]));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(fd, (struct sockaddr *)&own, sizeof own) != 0) {
        perror("bind");
        return 1;
    }
    for (;;) {
        memset(letters, 0, sizeof letters);
        for (int i = 0; i < BATCH; i++) {
            slots[i] = (struct iovec){bytes[i], SIZE};
            letters[i].msg_hdr.msg_iov = &slots[i];
            letters[i].msg_hdr.msg_iovlen = 1;
            letters[i].msg_hdr.msg_name = &peers[i];
            letters[i].msg_hdr.msg_namelen = sizeof peers[i];
        }
        int count = recvmmsg(fd, letters, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++) {
            unsigned char *message = bytes[i];
            int end = 12;
            while (end < SIZE - 64 && message[end] != 0) end += message[end] + 1;
            end += 5;
            message[2] = 0x85;
            message[3] = 0x80;
            memcpy(message + 6, "\0\1\0\0\0\0", 6);
            memcpy(message + end, RECORD, sizeof RECORD);
            slots[i].iov_len = end + sizeof RECORD;
        }
        if (count > 0) sendmmsg(fd, letters, count, 0);
    }
}
