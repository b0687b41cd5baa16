import AgentProtocol
import LinuxCalls

/// Somebody who is sent packets. One that is too slow loses whole packets; nobody waits for it.
final class SnifferReader: EventHandler {
    private static let chunkBytes = 64 << 10

    private(set) var hasEnded = false
    private let number: Int32
    private var socket: FileDescriptor?
    /// It stays as long as the program.
    private let service: SnifferService
    private let loop: EventLoop
    private var registration: EventRegistration?
    private var interest: Readiness = []
    private var hearing: Readiness = .readable
    private var request: SnifferRequest?
    private var position: UInt64 = 0
    /// Where it ends; nil: with the capture.
    private var limit: UInt64?
    private var hasHeader = false
    private var unsent: ArraySlice<UInt8> = []

    var isStream: Bool { request == .live || request == .kept }

    /// - Parameter request: nil where the reader says itself, in its first byte.
    init(_ socket: consuming FileDescriptor, _ service: SnifferService, _ loop: EventLoop, request: SnifferRequest?) {
        number = socket.number
        self.socket = consume socket
        self.service = service
        self.loop = loop
        registration = try? loop.add(number, .readable, handler: self)
        interest = .readable
        if registration == nil {
            end()
        } else if let request {
            begin(request)
        }
    }

    private func begin(_ request: SnifferRequest) {
        self.request = request
        switch request {
        case .live: position = service.lastPosition
        case .kept:
            position = service.firstPosition
            limit = service.lastPosition
        case .status:
            unsent = service.status.bytes[...]
            hasHeader = true
            limit = 0
        }
        wake()
    }

    private func end() {
        guard !hasEnded else { return }
        hasEnded = true
        if let registration { loop.remove(registration, number) }
        registration = nil
        unsent = []
        socket = nil
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        guard !hasEnded else { return }
        if readiness.contains(.hangUp) || readiness.contains(.error) { return end() }
        if readiness.contains(.readable) {
            var bytes = [UInt8](repeating: 0, count: 64)
            do throws(LinuxError) {
                // A reader has nothing to say but what it wants. One that says that it will say no more still listens, until
                // it takes nothing any more.
                if try read(number, over: &bytes) == 0 {
                    guard request != nil else { return end() }
                    hearing = []
                } else if request == nil {
                    guard let wanted = SnifferRequest(rawValue: bytes[0]) else { return end() }
                    return begin(wanted)
                }
            } catch {
                if error != .tryAgain { return end() }
            }
        }
        wake()
    }

    /// Sends as much as there is and as can be taken now.
    func wake() {
        guard !hasEnded, request != nil else { return }
        do throws(LinuxError) {
            while fill() {
                unsent.removeFirst(try write(number, unsent))
            }
            if let limit, position >= limit, hasHeader { return end() }
            want(hearing)
        } catch {
            guard error == .tryAgain else { return end() }
            want(hearing.union(.writable))
        }
    }

    /// Whether there is anything to send.
    private func fill() -> Bool {
        if !unsent.isEmpty { return true }
        if !hasHeader {
            guard !service.fileHeader.isEmpty else { return false }
            hasHeader = true
            unsent = service.fileHeader[...]
            return true
        }
        guard position < limit ?? service.lastPosition else { return false }
        let (bytes, next) = service.records(from: position, wantedBytes: Self.chunkBytes)
        // A copy: the ring goes on meanwhile.
        unsent = Array(bytes)[...]
        position = next
        return !unsent.isEmpty
    }

    private func want(_ wanted: Readiness) {
        guard wanted != interest, let registration else { return }
        interest = wanted
        try? loop.modify(registration, number, wanted)
    }
}
