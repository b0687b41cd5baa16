import CLinux
public import LinuxCalls

/// An open file of the host that knows its path, so that every error can name it.
///
/// All calls are made again when a signal interrupts them.
public struct HostFile: ~Copyable, Sendable {
    public let path: HostPath
    let descriptor: FileDescriptor

    /// The number the kernel knows it by; valid for as long as the owner lives.
    public var descriptorNumber: Int32 { descriptor.number }

    public init(owning descriptor: consuming FileDescriptor, path: HostPath) {
        self.path = path
        self.descriptor = descriptor
    }

    /// Opens a file; it is always closed on exec.
    public init(_ path: HostPath, _ flags: OpenFlags = .readOnly, mode: UInt32 = 0o644) throws(HostFileError) {
        self.path = path
        let operation = flags.contains(.create) ? "create" : "open"
        let number = try path.call(operation) { address throws(LinuxError) in
            // SAFETY: the path is valid during the call.
            unsafe try systemCallRestarting(
                __NR_openat, Int(AT_FDCWD), address, Int(flags.rawValue | O_CLOEXEC), Int(mode))
        }
        descriptor = FileDescriptor(owning: Int32(truncatingIfNeeded: number))
    }

    /// A second owner of the same open file, sharing its position.
    public func duplicate() throws(HostFileError) -> HostFile {
        do throws(LinuxError) { return HostFile(owning: try descriptor.duplicate(), path: path) } catch {
            throw HostFileError("open again", path, error)
        }
    }

    /// Reads at the file's own position into the start of `buffer`; zero means end of file.
    public func read(into buffer: inout [UInt8]) throws(HostFileError) -> Int {
        do throws(LinuxError) {
            // SAFETY: the kernel writes only inside the array, during the call.
            return unsafe try withAddress(of: &buffer) { address, count throws(LinuxError) in
                unsafe try systemCallRestarting(__NR_read, Int(descriptor.number), address, count)
            }
        } catch {
            throw HostFileError("read", path, error)
        }
    }

    /// Reads `count` bytes at `offset` into the start of `buffer`; fewer only at the end of the file.
    public func read(_ count: Int, at offset: UInt64, into buffer: inout [UInt8]) throws(HostFileError) -> Int {
        do throws(LinuxError) {
            // SAFETY: the kernel writes only inside the array, during the calls.
            return unsafe try withAddress(of: &buffer) { address, capacity throws(LinuxError) in
                var done = 0
                let wanted = min(count, capacity)
                while done < wanted {
                    let taken = unsafe try systemCallRestarting(
                        __NR_pread64, Int(descriptor.number), address + done, wanted - done,
                        Int(truncatingIfNeeded: offset) + done)
                    if taken == 0 { break }
                    done += taken
                }
                return done
            }
        } catch {
            throw HostFileError("read", path, error)
        }
    }

    /// Writes everything at the file's own position.
    public func write(_ bytes: Span<UInt8>) throws(HostFileError) {
        do throws(LinuxError) {
            // SAFETY: the span outlives the call.
            unsafe try bytes.withUnsafeBufferPointer { buffer throws(LinuxError) in
                unsafe try writeAll(descriptor.number, UnsafeRawBufferPointer(buffer))
            }
        } catch {
            throw HostFileError("write", path, error)
        }
    }

    public func write(_ bytes: [UInt8]) throws(HostFileError) { try write(bytes.span) }

    public func write(_ bytes: [UInt8], at offset: UInt64) throws(HostFileError) {
        try write(bytes.span, at: offset)
    }

    /// Writes everything at `offset`.
    public func write(_ bytes: Span<UInt8>, at offset: UInt64) throws(HostFileError) {
        do throws(LinuxError) {
            // SAFETY: the span outlives the calls, and each writes from within it.
            unsafe try bytes.withUnsafeBufferPointer { buffer throws(LinuxError) in
                var done = 0
                while done < buffer.count {
                    done += unsafe try systemCallRestarting(
                        __NR_pwrite64, Int(descriptor.number), Int(bitPattern: buffer.baseAddress) + done,
                        buffer.count - done, Int(truncatingIfNeeded: offset) + done)
                }
            }
        } catch {
            throw HostFileError("write", path, error)
        }
    }

    /// What lies on the disk after a power loss includes everything written before.
    public func synchronize() throws(HostFileError) {
        do throws(LinuxError) {
            // SAFETY: no address is passed.
            unsafe try systemCallRestarting(__NR_fsync, Int(descriptor.number))
        } catch {
            throw HostFileError("write", path, error)
        }
    }

    /// Makes the file `length` bytes long; what is new reads as zeros.
    public func truncate(to length: UInt64) throws(HostFileError) {
        do throws(LinuxError) {
            // SAFETY: no address is passed.
            unsafe try systemCallRestarting(__NR_ftruncate, Int(descriptor.number), Int(truncatingIfNeeded: length))
        } catch {
            throw HostFileError("write", path, error)
        }
    }

    /// Waits until nobody else holds the file's lock (`flock(2)`), and holds it until the file is closed.
    public func lock(isExclusive: Bool) throws(HostFileError) {
        do throws(LinuxError) {
            // SAFETY: no address is passed. LOCK_SH is 1, LOCK_EX 2.
            unsafe try systemCallRestarting(__NR_flock, Int(descriptor.number), isExclusive ? 2 : 1)
        } catch {
            throw HostFileError("lock", path, error)
        }
    }

    /// The next run of data at or after `offset`, as SEEK_DATA and SEEK_HOLE tell it; nil when only a hole follows.
    public func nextData(from offset: UInt64) throws(HostFileError) -> Range<UInt64>? {
        do throws(LinuxError) {
            // SAFETY: no address is passed. SEEK_DATA is 3, SEEK_HOLE 4.
            let start = unsafe try systemCall(
                __NR_lseek, Int(descriptor.number), Int(truncatingIfNeeded: offset), 3)
            let end = unsafe try systemCall(__NR_lseek, Int(descriptor.number), start, 4)
            return UInt64(start)..<UInt64(max(start, end))
        } catch {
            if error.number == ENXIO { return nil }
            throw HostFileError("read", path, error)
        }
    }
}
