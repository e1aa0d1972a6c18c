#include "pipeline/layer_log.hpp"

#include <fcntl.h>

#include <nlohmann/json.hpp>

namespace halftone {

LayerLog::LayerLog(const std::filesystem::path& folder)
    : file_(folder / "halftone-log.jsonl"),
      descriptor_(::open(file_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
  if (descriptor_.get() < 0) fail_io(file_, "create");
}

void LayerLog::append(const LayerReport& layer) {
  const std::string line =
      layer_json(layer, false).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  write_at(descriptor_.get(), file_, size_, std::as_bytes(std::span<const char>(line)));
  size_ += static_cast<std::int64_t>(line.size());
}

}  // namespace halftone
