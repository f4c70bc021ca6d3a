// Shape arithmetic; see tensor.h.
#include "core/tensor.h"

#include "core/error.h"

namespace tailor::core {

Shape::Shape(std::initializer_list<std::int64_t> dimensions) {
    for (const std::int64_t d : dimensions) append(d);
}

void Shape::append(std::int64_t dimension) {
    if (rank_ == max_rank) fail(ErrorKind::shape, "a tensor has more than {} dimensions", max_rank);
    dimensions_[static_cast<std::size_t>(rank_++)] = dimension;
}

std::int64_t Shape::elements() const {
    std::int64_t product = 1;
    for (int i = 0; i < rank_; ++i) product *= (*this)[i];
    return product;
}

std::string Shape::text() const {
    std::string result = "[";
    for (int i = 0; i < rank_; ++i) result += (i ? ", " : "") + std::to_string((*this)[i]);
    return result + "]";
}

}  // namespace tailor::core
