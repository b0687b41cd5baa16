import AgentProtocol
import CLinux
public import LinuxCalls

/// A blocking stream connection to the agent, before and after it is known what it carries.
public final class AgentSocket: Sendable {
    private let descriptor: FileDescriptor

    public init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

    public var number: Int32 { descriptor.number }

    /// An agent that is gone is an error here and no signal, which would end the command without a word.
    public func write(_ bytes: [UInt8]) throws(AgentClientError) { try write(bytes.span) }

    func write(_ bytes: Span<UInt8>) throws(AgentClientError) {
        do throws(LinuxError) {
            // SAFETY: the kernel reads only inside the span, which outlives the calls.
            unsafe try bytes.withUnsafeBytes { buffer throws(LinuxError) in
                var sent = 0
                while sent < buffer.count {
                    let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[sent...])
                    // MSG_NOSIGNAL
                    sent += unsafe try systemCallRestarting(
                        __NR_sendto, Int(number), Int(bitPattern: rest.baseAddress), rest.count, 0x4000)
                }
            }
        } catch { throw Self.gone(error) }
    }

    /// As many of the bytes as the connection has room for; none when it has no room.
    func writeSome(_ bytes: ArraySlice<UInt8>) throws(AgentClientError) -> Int {
        do throws(LinuxError) {
            // SAFETY: the kernel reads only inside the slice, which outlives the call.
            return unsafe try bytes.span.withUnsafeBytes { buffer throws(LinuxError) in
                unsafe try StreamSocket.send(number, buffer)
            }
        } catch {
            if error.isTryAgain { return 0 }
            throw Self.gone(error)
        }
    }

    /// Exactly so many bytes.
    public func readExactly(_ count: Int, until deadline: Deadline) throws(AgentClientError) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            if try !readSome(appendingTo: &bytes, maximumBytes: count - bytes.count, until: deadline) {
                throw AgentClientError(.gone, "the agent's connection ended in the middle of a message")
            }
        }
        return bytes
    }

    /// At least one byte; false at the end of the stream.
    public func readSome(
        appendingTo bytes: inout [UInt8], maximumBytes: Int, until deadline: Deadline
    ) throws(AgentClientError) -> Bool {
        if !deadline.isNever, !waitUntilReadable(number, until: deadline) {
            throw AgentClientError(.silent, "the agent did not answer in time")
        }
        do throws(LinuxError) {
            return try read(number, appendingTo: &bytes, maximumBytes: maximumBytes) > 0
        } catch {
            throw Self.gone(error)
        }
    }

    /// Says that nothing more will be sent.
    public func finishSending() { shutDownSocket(number, 1) }

    /// Ends both directions; a thread that is blocked on it wakes.
    public func abort() { shutDownSocket(number, 2) }

    private static func gone(_ error: LinuxError) -> AgentClientError {
        AgentClientError(.gone, "the agent's connection broke: \(error)")
    }
}
