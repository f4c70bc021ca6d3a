// One row of a linear recurrence at a time, for decoding: the memory is read and written once, whatever there is of decays, z and bonus.
//
// Included by recurrence.cpp inside each instruction-set level's namespace under that level's target, after the buffers and the products
// of tiles; hence no include guard and no includes. The memory of a head, not its products, bounds this form: 3 to 5 multiply-adds
// per number that comes and goes.

/// One row: columns [c, c + V vectors). a is in s.decayed_a; for the delta rule, v takes z up.
template <int V, bool HasZ, bool Before>
static void step(const Recurrence& r, const Unit& u, Scratch& s, std::int64_t c) noexcept {
    Vector v[1][V], z[1][V] = {}, y[V] = {};
    load_tile(v, s.v + c, block);
    if (HasZ || r.delta_rule) accumulate(z, s.decayed_a, 0, r.key_dim, u.state + c, u.state_stride);
    if (r.delta_rule)
        for (int i = 0; i < V; ++i) v[0][i] += z[0][i];
    for (std::int64_t i = 0; i < r.key_dim; ++i) {
        float* const row = u.state + i * u.state_stride + c;
        for (int j = 0; j < V; ++j) {
            const Vector old = load(row + j * lanes);
            if (Before) y[j] = fused(old, broadcast(s.q[i]), y[j]);
            Vector now = fused(old, broadcast(s.w[i]), v[0][j] * s.k[i]);
            if (HasZ) now = fused(z[0][j], broadcast(s.b[i]), now);
            if (!Before) y[j] = fused(now, broadcast(s.q[i]), y[j]);
            store(row + j * lanes, now);
        }
    }
    // q is already scaled here.
    const float bonus = Before ? bonus_product(r, s.q, s.k) / r.query_scale : 0.0f;
    for (int j = 0; j < V; ++j) store(s.y + c + j * lanes, Before ? fused(v[0][j], broadcast(bonus), y[j]) : y[j]);
}

template <bool HasZ, bool Before>
static void step_columns(const Recurrence& r, const Unit& u, Scratch& s) noexcept {
    std::int64_t c = 0;
    for (; c + vectors * lanes <= u.padded_columns; c += vectors * lanes) step<vectors, HasZ, Before>(r, u, s, c);
    for (; c < u.padded_columns; c += lanes) step<1, HasZ, Before>(r, u, s, c);
}

/// The operands of one row in the first rows of the buffers.
static void load_row(const Recurrence& r, const Unit& u, std::int64_t row, Scratch& s) noexcept {
    const std::int64_t keys = u.padded_keys;
    const float beta = r.value_scale ? *r.value_scale.row(row) : 1.0f;
    copy_scaled(r.q.row(row), r.query_scale, s.q, r.key_dim, keys);
    copy_scaled(r.k.row(row), 1, s.k, r.key_dim, keys);
    copy_scaled(r.v.row(row) + u.first_column, beta, s.v, u.columns, u.padded_columns);
    const float rate = r.rate ? *r.rate : 1.0f;
    if (by_dimension(r)) copy_scaled(r.log_decay.row(row), 1, s.w, r.key_dim, keys);
    else std::fill_n(s.w, keys, r.log_decay ? *r.log_decay.row(row) * rate : 0.0f);
    for (std::int64_t i = 0; i < keys; i += lanes) store(s.w + i, decay_of(load(s.w + i)));
    if (r.a) copy_scaled(r.a.row(row), 1, s.decayed_a, r.key_dim, keys), copy_scaled(r.b.row(row), 1, s.b, r.key_dim, keys);
    for (std::int64_t i = 0; r.delta_rule && i < keys; i += lanes) store(s.decayed_a + i, load(s.k + i) * load(s.w + i) * -beta);
}

static void run_row(const Recurrence& r, const Unit& u, std::int64_t row, Scratch& s) noexcept {
    load_row(r, u, row, s);
    if (r.a) step_columns<true, false>(r, u, s);
    else if (r.bonus) step_columns<false, true>(r, u, s);
    else step_columns<false, false>(r, u, s);
    store_rows(r, u, row, 1, s);
}
