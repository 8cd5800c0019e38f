/* One stage of a directed link: what happens to a packet on it. See stage.c. */

#ifndef STAGE_H
#define STAGE_H

#include <stdbool.h>
#include <stdint.h>

#define STAGE_NAME_MAX 64

enum distribution { UNIFORM, NORMAL, PARETO };

struct stage {
    char name[STAGE_NAME_MAX];
    bool leased;          /* ends by itself when the agent falls silent */
    int64_t delay_ns;     /* mean */
    int64_t jitter_ns;    /* uniform: half the width; else the standard deviation */
    enum distribution distribution;
    double loss;          /* probability, over all packets */
    double burst;         /* mean number of packets lost in a row; 0: each on its own */
    double duplicate;     /* probability */
    double reorder;       /* probability of being held back by late_ns, out of order */
    int64_t late_ns;
    double corrupt;       /* probability of one flipped bit */
    double rate_bps;      /* bits per second; 0: as fast as it comes */
    int64_t backlog_bytes;
    uint64_t seed;
    /* state */
    uint64_t draws;
    bool losing;          /* inside a burst */
    int64_t began_ns;
    int64_t free_ns;      /* when the last bit so far has left */
};

/* A packet on its way through the stages. */
struct passage {
    int64_t at_ns;        /* when it leaves the stage before */
    uint32_t bytes;
    bool lost, late, corrupt;
    int copies;
};

/* Set one `key=value`; NULL, or what is wrong. */
const char *stage_set(struct stage *stage, const char *pair);

/* Take a packet through the stage. */
void stage_pass(struct stage *stage, struct passage *packet);

/* The most that the stage is expected to hold a packet back, its own backlog aside. */
int64_t stage_hold_ns(const struct stage *stage);

/* Whether packets have to be told apart, so that the kernel must cut large ones to size first. */
bool stage_per_packet(const struct stage *stage);

#endif
