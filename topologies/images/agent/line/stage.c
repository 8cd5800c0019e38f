/* What one stage does to a packet. Every draw follows from the stage's seed, so runs repeat.
 *
 * Jitter is drawn once a slot of four times its size and holds for that slot: packets close to each
 * other in time are delayed alike, as in a queue they share, and so the order that is kept under
 * jitter hardly ever has to lengthen a delay. (A draw for each packet, with the order kept, makes
 * every packet wait for the slowest of those before it.)
 */

#include "stage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000LL
#define SLOT_FACTOR 4
#define TAIL 20.0        /* the pareto distribution ends after so many standard deviations */
#define SEGMENTS_BPS 2e8 /* below this rate one large segment would be a burst of milliseconds */

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ULL; /* splitmix64 */
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static double unit(uint64_t bits)
{
    return ((double)(bits >> 11) + 0.5) * 0x1p-53; /* inside (0, 1) */
}

static bool chance(struct stage *stage, double probability)
{
    return probability > 0 && unit(mix(mix(stage->seed) + stage->draws++)) < probability;
}

/* Mean 0; `uniform` within ±1, the others with standard deviation 1. */
static double draw(const struct stage *stage, uint64_t slot)
{
    uint64_t bits = mix(stage->seed ^ mix(slot + 0x5bf03635ULL));
    double u = unit(bits), v = unit(mix(bits));
    switch (stage->distribution) {
    case NORMAL:
        return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
    case PARETO: { /* shape 3: variance 3/4, mean 3/2 */
        double x = (pow(u, -1.0 / 3) - 1.5) / sqrt(0.75);
        return x < TAIL ? x : TAIL;
    }
    default:
        return 2 * u - 1;
    }
}

static int64_t delay(const struct stage *stage, int64_t at_ns)
{
    int64_t wait_ns = stage->delay_ns;
    if (stage->jitter_ns) {
        int64_t slot_ns = SLOT_FACTOR * stage->jitter_ns;
        if (slot_ns < MS)
            slot_ns = MS;
        uint64_t slot = (uint64_t)((at_ns - stage->began_ns) / slot_ns);
        wait_ns += (int64_t)((double)stage->jitter_ns * draw(stage, slot));
    }
    return wait_ns > 0 ? wait_ns : 0;
}

/* Two states, as Gilbert described: packets pass in one and are lost in the other. */
static bool lose(struct stage *stage)
{
    if (stage->burst <= 0)
        return chance(stage, stage->loss);
    double end = 1 / stage->burst;
    double begin = stage->loss < 1 ? end * stage->loss / (1 - stage->loss) : 1;
    stage->losing = stage->losing ? stage->loss >= 1 || !chance(stage, end)
                                  : chance(stage, begin);
    return stage->losing;
}

/* When its last bit has left a line of that rate; false when the backlog is full. */
static bool transmit(struct stage *stage, struct passage *packet)
{
    int64_t start_ns = stage->free_ns > packet->at_ns ? stage->free_ns : packet->at_ns;
    double waiting = (double)(start_ns - packet->at_ns) * stage->rate_bps / 8e9;
    if (waiting > 0 && waiting + packet->bytes > (double)stage->backlog_bytes)
        return false;
    stage->free_ns = start_ns + (int64_t)(packet->bytes * 8e9 / stage->rate_bps);
    packet->at_ns = stage->free_ns;
    return true;
}

void stage_pass(struct stage *stage, struct passage *packet)
{
    if (!stage->began_ns)
        stage->began_ns = packet->at_ns;
    if (stage->loss > 0 && lose(stage)) {
        packet->lost = true;
        return;
    }
    packet->corrupt |= chance(stage, stage->corrupt);
    packet->copies += chance(stage, stage->duplicate);
    if (stage->rate_bps > 0 && !transmit(stage, packet)) {
        packet->lost = true;
        return;
    }
    packet->at_ns += delay(stage, packet->at_ns);
    if (chance(stage, stage->reorder)) {
        packet->late = true;
        packet->at_ns += stage->late_ns;
    }
}

int64_t stage_hold_ns(const struct stage *stage)
{
    return stage->delay_ns + stage->jitter_ns;
}

bool stage_per_packet(const struct stage *stage)
{
    return stage->loss > 0 || stage->duplicate > 0 || stage->reorder > 0 || stage->corrupt > 0
           || (stage->rate_bps > 0 && stage->rate_bps < SEGMENTS_BPS);
}

static const char *set_distribution(struct stage *stage, const char *value)
{
    static const char *const names[] = {"uniform", "normal", "pareto"};
    for (int k = 0; k < 3; k++)
        if (!strcmp(value, names[k])) {
            stage->distribution = (enum distribution)k;
            return NULL;
        }
    return "expected the distribution uniform, normal or pareto";
}

const char *stage_set(struct stage *stage, const char *pair)
{
    const char *value = strchr(pair, '=');
    if (!value++)
        return "expected key=value";
    size_t length = (size_t)(value - 1 - pair);
#define IS(name) (length == sizeof(name) - 1 && !memcmp(pair, name, length))
    if (IS("distribution"))
        return set_distribution(stage, value);
    if (IS("seed")) {
        stage->seed = strtoull(value, NULL, 10);
        return NULL;
    }
    char *end;
    double number = strtod(value, &end);
    if (end == value || *end || !(number >= 0) || number > 1e15)
        return "expected a number from 0 on";
    if (IS("delay_us"))
        stage->delay_ns = (int64_t)(number * 1000);
    else if (IS("jitter_us"))
        stage->jitter_ns = (int64_t)(number * 1000);
    else if (IS("late_us"))
        stage->late_ns = (int64_t)(number * 1000);
    else if (IS("loss"))
        stage->loss = number;
    else if (IS("burst"))
        stage->burst = number;
    else if (IS("duplicate"))
        stage->duplicate = number;
    else if (IS("reorder"))
        stage->reorder = number;
    else if (IS("corrupt"))
        stage->corrupt = number;
    else if (IS("rate_bps"))
        stage->rate_bps = number;
    else if (IS("backlog_bytes"))
        stage->backlog_bytes = (int64_t)number;
    else if (IS("leased"))
        stage->leased = number > 0;
    else
        return "unknown key";
#undef IS
    return NULL;
}
