/* NFQUEUE over netlink: metadata in, verdicts out. Only where a stage needs it does the kernel copy
 * (part of) a packet, and only then does it cut large segments to size.
 */

#define _GNU_SOURCE
#include "nfqueue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64             /* messages a call */
#define BATCHES_MAX 16       /* before packets that are due get their turn */
#define MESSAGE_BYTES 69632  /* the largest packet and what stands before it */
#define RECEIVE_BYTES (64 << 20)
#define QUEUE_LENGTH 200000
#define HEADER_BYTES 60      /* enough for any IP header; the length comes beside it */
#define OUT_BYTES (128 << 10)
#define ANSWER_NS 1000000000LL

static int netlink_file = -1, raw_file = -1;
static char error_text[128];
static uint32_t sequence;

static char out[OUT_BYTES];
static size_t out_filled;

static bool answered;
static int answer_errno;
static uint32_t answer_sequence;

int64_t kernel_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

const char *kernel_error(void)
{
    return error_text;
}

int kernel_file(void)
{
    return netlink_file;
}

static bool failed(const char *doing)
{
    snprintf(error_text, sizeof error_text, "%s: %s", doing, strerror(errno));
    return false;
}

bool kernel_open(void)
{
    netlink_file = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
    struct sockaddr_nl self = {.nl_family = AF_NETLINK};
    if (netlink_file < 0 || bind(netlink_file, (struct sockaddr *)&self, sizeof self) < 0)
        return failed("netfilter's netlink");
    int bytes = RECEIVE_BYTES, on = 1;
    setsockopt(netlink_file, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    setsockopt(netlink_file, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);
    raw_file = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
    if (raw_file < 0)
        return failed("a raw socket");
    setsockopt(raw_file, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
    return true;
}

/* ---- messages ---- */

static struct nlmsghdr *begin(void *buffer, int kind, int flags, uint16_t queue)
{
    struct nlmsghdr *message = buffer;
    memset(message, 0, NLMSG_LENGTH(sizeof(struct nfgenmsg)));
    message->nlmsg_len = NLMSG_LENGTH(sizeof(struct nfgenmsg));
    message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_QUEUE << 8 | kind);
    message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    message->nlmsg_seq = ++sequence;
    struct nfgenmsg *head = NLMSG_DATA(message);
    head->nfgen_family = AF_UNSPEC;
    head->version = NFNETLINK_V0;
    head->res_id = htons(queue);
    return message;
}

static void attribute(struct nlmsghdr *message, int kind, const void *data, size_t bytes)
{
    struct nlattr *place = (void *)((char *)message + NLMSG_ALIGN(message->nlmsg_len));
    place->nla_type = (uint16_t)kind;
    place->nla_len = (uint16_t)(NLA_HDRLEN + bytes);
    memcpy((char *)place + NLA_HDRLEN, data, bytes);
    size_t padded = NLA_ALIGN(NLA_HDRLEN + bytes);
    memset((char *)place + NLA_HDRLEN + bytes, 0, padded - NLA_HDRLEN - bytes);
    message->nlmsg_len = (uint32_t)(NLMSG_ALIGN(message->nlmsg_len) + padded);
}

void kernel_flush(void)
{
    size_t filled = out_filled;
    out_filled = 0;
    /* A verdict that the kernel does not take is for a packet it has no more. */
    if (filled && send(netlink_file, out, filled, 0) < 0 && errno == ENOBUFS)
        send(netlink_file, out, filled, 0);
}

static void verdict(const struct queue *queue, int kind, uint32_t id, uint32_t what,
                    const unsigned char *payload, size_t bytes)
{
    if (out_filled + bytes + 128 > sizeof out)
        kernel_flush();
    struct nlmsghdr *message = begin(out + out_filled, kind, 0, queue->number);
    struct nfqnl_msg_verdict_hdr head = {.verdict = htonl(what), .id = htonl(id)};
    attribute(message, NFQA_VERDICT_HDR, &head, sizeof head);
    if (payload)
        attribute(message, NFQA_PAYLOAD, payload, bytes);
    out_filled += NLMSG_ALIGN(message->nlmsg_len);
}

void kernel_accept_up_to(const struct queue *queue, uint32_t id)
{
    verdict(queue, NFQNL_MSG_VERDICT_BATCH, id, NF_ACCEPT, NULL, 0);
}

void kernel_accept(const struct queue *queue, uint32_t id)
{
    verdict(queue, NFQNL_MSG_VERDICT, id, NF_ACCEPT, NULL, 0);
}

void kernel_drop(const struct queue *queue, uint32_t id)
{
    verdict(queue, NFQNL_MSG_VERDICT, id, NF_DROP, NULL, 0);
}

/* The kernel made the checksum complete when it copied the packet, and the receiver checks it again
 * because the payload came back: one flipped bit never goes unnoticed. */
void kernel_accept_changed(const struct queue *queue, const struct held *held)
{
    unsigned char *ip = held->payload;
    uint32_t start = (uint32_t)(ip[0] & 15) * 4;
    uint32_t head = 8, flip = start + 4; /* without payload: bytes 4 to 7 of what follows IP */
    if (ip[9] == IPPROTO_TCP && start + 13 < held->bytes)
        head = (uint32_t)(ip[start + 12] >> 4) * 4;
    uint32_t room = held->bytes > start + head ? held->bytes - start - head : 0;
    if (room)
        flip = start + head + (held->id * 2654435761u) % room;
    if (flip < held->bytes)
        ip[flip] ^= (unsigned char)(1 << (held->id & 7));
    verdict(queue, NFQNL_MSG_VERDICT, held->id, NF_ACCEPT, ip, held->bytes);
}

/* Sent to ourselves as it came. It arrives over the loopback, which no rule sends here again. */
void kernel_copy(const struct held *held, struct counters *counters)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    memcpy(&to.sin_addr, held->payload + 16, sizeof to.sin_addr);
    ssize_t sent = sendto(raw_file, held->payload, held->bytes, 0, (struct sockaddr *)&to,
                          sizeof to);
    if (sent < 0)
        counters->refused++;
    else
        counters->duplicated++;
}

/* ---- packets ---- */

static void packet_came(const struct nlmsghdr *message, int64_t now_ns)
{
    const struct nfgenmsg *head = NLMSG_DATA(message);
    struct queue *queue = queue_find(ntohs(head->res_id));
    struct packet packet = {0};
    bool numbered = false;
    const char *place = (const char *)head + NLMSG_ALIGN(sizeof *head);
    const char *end = (const char *)message + message->nlmsg_len;
    while (place + NLA_HDRLEN <= end) {
        const struct nlattr *item = (const void *)place;
        const void *data = place + NLA_HDRLEN;
        if (item->nla_len < NLA_HDRLEN || place + item->nla_len > end)
            break;
        uint32_t bytes = item->nla_len - (uint32_t)NLA_HDRLEN;
        switch (item->nla_type & NLA_TYPE_MASK) {
        case NFQA_PACKET_HDR:
            packet.id = ntohl(((const struct nfqnl_msg_packet_hdr *)data)->packet_id);
            numbered = true;
            break;
        case NFQA_PAYLOAD:
            packet.payload = data;
            packet.payload_bytes = bytes;
            if (packet.bytes < bytes)
                packet.bytes = bytes;
            break;
        case NFQA_CAP_LEN: /* how long it is, where less was copied */
            packet.bytes = ntohl(*(const uint32_t *)data);
            break;
        }
        place += NLA_ALIGN(item->nla_len);
    }
    if (packet.bytes > packet.payload_bytes)
        packet.payload_bytes = 0; /* a part of a packet is no packet to send or change */
    if (queue && numbered)
        queue_take(queue, &packet, now_ns);
}

static void message_came(const struct nlmsghdr *message, int64_t now_ns)
{
    if (message->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *answer = NLMSG_DATA(message);
        if (answer->msg.nlmsg_seq == answer_sequence) {
            answered = true;
            answer_errno = -answer->error;
        }
    } else if (message->nlmsg_type == (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET)) {
        packet_came(message, now_ns);
    }
}

void kernel_read(void)
{
    static char buffers[BATCH][MESSAGE_BYTES];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    for (int k = 0; k < BATCH && !parts[k].iov_base; k++) { /* once */
        parts[k] = (struct iovec){buffers[k], MESSAGE_BYTES};
        messages[k].msg_hdr = (struct msghdr){.msg_iov = &parts[k], .msg_iovlen = 1};
    }
    for (int round = 0; round < BATCHES_MAX; round++) {
        int got = recvmmsg(netlink_file, messages, BATCH, MSG_DONTWAIT, NULL);
        int64_t now_ns = kernel_now_ns();
        for (int k = 0; k < got; k++) {
            int left = (int)messages[k].msg_len;
            struct nlmsghdr *message = (void *)buffers[k];
            for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left))
                message_came(message, now_ns);
        }
        if (got < BATCH)
            return;
    }
}

/* ---- configuration ---- */

/* Send and wait for the answer; packets that come meanwhile are taken in. */
static bool ask(struct nlmsghdr *message, const char *doing)
{
    kernel_flush();
    answered = false;
    answer_sequence = message->nlmsg_seq;
    if (send(netlink_file, message, message->nlmsg_len, 0) < 0)
        return failed(doing);
    int64_t end_ns = kernel_now_ns() + ANSWER_NS;
    while (!answered && kernel_now_ns() < end_ns)
        kernel_read();
    errno = answered ? answer_errno : ETIMEDOUT;
    return errno ? failed(doing) : true;
}

static bool bind_or_not(const struct queue *queue, uint8_t what)
{
    char buffer[256];
    struct nlmsghdr *message = begin(buffer, NFQNL_MSG_CONFIG, NLM_F_ACK, queue->number);
    struct nfqnl_msg_config_cmd command = {.command = what};
    attribute(message, NFQA_CFG_CMD, &command, sizeof command);
    return ask(message, "NFQUEUE");
}

bool kernel_bind(const struct queue *queue)
{
    return bind_or_not(queue, NFQNL_CFG_CMD_BIND);
}

bool kernel_unbind(const struct queue *queue)
{
    return bind_or_not(queue, NFQNL_CFG_CMD_UNBIND);
}

bool kernel_configure(const struct queue *queue)
{
    static const uint32_t ranges[] = {0, HEADER_BYTES, 0xffff};
    char buffer[256];
    struct nlmsghdr *message = begin(buffer, NFQNL_MSG_CONFIG, NLM_F_ACK, queue->number);
    struct nfqnl_msg_config_params params = {
        .copy_range = htonl(ranges[queue->copy]),
        .copy_mode = queue->copy == COPY_NONE ? NFQNL_COPY_META : NFQNL_COPY_PACKET,
    };
    attribute(message, NFQA_CFG_PARAMS, &params, sizeof params);
    uint32_t length = htonl(QUEUE_LENGTH);
    attribute(message, NFQA_CFG_QUEUE_MAXLEN, &length, sizeof length);
    uint32_t mask = htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN);
    uint32_t flags = htonl(NFQA_CFG_F_FAIL_OPEN | (queue->whole ? NFQA_CFG_F_GSO : 0));
    attribute(message, NFQA_CFG_MASK, &mask, sizeof mask);
    attribute(message, NFQA_CFG_FLAGS, &flags, sizeof flags);
    return ask(message, "NFQUEUE's flags");
}
