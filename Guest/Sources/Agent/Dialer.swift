import AgentProtocol
import LinuxCalls

/// A connection that is being made; hands it over when it stands and the opening is sent.
final class Dialer: EventHandler, ConnectionOwner {
    private let server: AgentServer
    private let handle: Handle
    private let opening: [UInt8]
    private var watch = Watch()
    private var completion: ((Handle?) -> Void)?

    /// - Parameter completion: gets nil when nobody answers.
    init(_ server: AgentServer, _ handle: Handle, opening: [UInt8], _ completion: @escaping (Handle?) -> Void) {
        self.server = server
        self.handle = handle
        self.opening = opening
        self.completion = completion
        server.add(self)
        watch.want(.writable, handle.number, server.loop, self)
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        guard StreamSocket.pendingError(handle.number) == nil else { return finish(nil) }
        // A fresh connection takes 64 bytes at once.
        let count = opening.isEmpty ? 0 : (try? LinuxCalls.write(handle.number, opening[...])) ?? -1
        finish(count == opening.count ? handle : nil)
    }

    func close() { finish(nil) }

    private func finish(_ result: Handle?) {
        guard let completion else { return }
        self.completion = nil
        watch.want([], handle.number, server.loop, self)
        if result == nil { handle.close() }
        server.remove(self)
        completion(result)
    }
}

/// A connection from outside whose first 64 bytes have not all come.
final class OpeningReader: EventHandler, ConnectionOwner {
    private let server: AgentServer
    private let handle: Handle
    private var bytes: [UInt8] = []
    private var watch = Watch()
    private var isDone = false
    private var deadline: UInt32?

    init(_ server: AgentServer, _ handle: Handle) {
        self.server = server
        self.handle = handle
        server.add(self)
        server.openingReaders += 1
        watch.want(.readable, handle.number, server.loop, self)
        deadline = server.deadlines.after(milliseconds: 30_000) { self.close() }
        handleEvent(token: 0, readiness: [])
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        guard !isDone else { return }
        do throws(LinuxError) {
            let missing = Opening.byteCount - bytes.count
            if try LinuxCalls.read(handle.number, appendingTo: &bytes, maximumBytes: missing) == 0 { return close() }
        } catch {
            if error != .tryAgain { close() }
            return
        }
        guard bytes.count == Opening.byteCount else { return }
        leave()
        server.opened(handle, bytes)
    }

    func close() {
        guard !isDone else { return }
        leave()
        handle.close()
    }

    private func leave() {
        isDone = true
        server.openingReaders -= 1
        if let deadline { server.deadlines.cancel(deadline) }
        watch.want([], handle.number, server.loop, self)
        server.remove(self)
    }
}
