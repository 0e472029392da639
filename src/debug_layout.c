/* The one instance; see debug_layout.h. */
#include <stddef.h>

#include "src/debug_layout.h"
#include "src/runtime.h"
#include "src/sched.h"

#define G(field) offsetof(struct ghi_gthread, field)
#define W(field) offsetof(struct ghi_worker, field)

__attribute__((visibility("default"))) const struct ghi_debug_layout GREENHOOK_debug_layout = {
    .version = 1,
    .size = sizeof(struct ghi_debug_layout),
    .all = &ghi_gthread_newest,
    .main = &ghi_runtime_main_gthread,
    .workers = &ghi_worker_newest,
    .reasons = ghi_reason_names,
    .g_next = G(all_next),
    .g_id = G(id),
    .g_tid = G(tid),
    .g_name = G(name),
    .g_flags = G(flags),
    .g_life = G(life),
    .g_wake = G(wake),
    .g_reason = G(reason),
    .g_waits_for = G(waits_for),
    .g_start = G(start),
    .g_sp = G(sp),
    .g_switches = G(switches),
    .g_bytes = sizeof(struct ghi_gthread),
    .w_next = W(all_next),
    .w_current = W(current),
    .w_tid = W(tid),
    .f_rip = GHI_FRAME_RIP,
    .f_rbp = GHI_FRAME_RBP,
    .f_rbx = GHI_FRAME_RBX,
    .f_r12 = GHI_FRAME_R12,
    .f_r13 = GHI_FRAME_R13,
    .f_r14 = GHI_FRAME_R14,
    .f_r15 = GHI_FRAME_R15,
    .f_size = GHI_FRAME_SIZE,
    .nreasons = GHI_PARK_NREASONS,
};
