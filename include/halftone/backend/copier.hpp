// Copies between the host and a backend's memory that go on beside what its context is doing.
#pragma once

namespace halftone {

/// Made on the context's thread, used by one thread at a time, which may be another. A backend whose memory is not the
/// host's specialises it:
///
///   explicit Copier(const Context<Backend>& context);                       the context must outlive it
///   void upload(MatrixView<const T> host, MatrixView<T> there);             returns when the numbers are there
///   void upload_pinned(MatrixView<const T> host, MatrixView<T> there);      from memory of a HostMatrix
///   void download_pinned(MatrixView<const T> there, MatrixView<T> host);    to memory of a HostMatrix
template <class Backend>
class Copier;

}  // namespace halftone
