import AgentProtocol
import LinuxCalls

/// A command that the host started.
final class GuestProcess {
    /// One of the command's streams: first the process's side of it alone, then a channel.
    final class Stream {
        let which: ProcessStream
        var handle: Handle?
        var channel: Channel?
        /// What a connection that was taken away has left.
        var kept: Channel.Kept?

        init(_ which: ProcessStream, _ handle: Handle) {
            self.which = which
            self.handle = handle
        }

        /// Takes the process's side back from the connection that had it.
        func reclaim() {
            guard let channel else { return }
            self.channel = nil
            kept = channel.detach()
            handle = kept?.far
        }
    }

    let number: UInt32
    var token: Token
    let outlivesConnection: Bool
    var processIdentifier: Int32 = 0
    var streams: [Stream] = []
    /// Nil when the control connection is gone.
    var connection: ControlConnection?
    var hasEnded = false
    /// Whether it was started for another connection than the one that has it, or had it last.
    var wasAdopted = false
    /// How, where it is known.
    var end: ExitStatus?

    init(_ start: Start, number: UInt32, connection: ControlConnection) {
        self.number = number
        token = start.token
        outlivesConnection = start.outlivesConnection
        self.connection = connection
    }

    func stream(_ which: ProcessStream) -> Stream? { streams.first { $0.which == which } }

    /// The agent's end of the terminal, if there is one.
    var terminal: Int32? {
        guard let stream = stream(.terminal) else { return nil }
        return stream.channel?.farNumber ?? stream.handle?.number
    }

    /// Lets go of everything that no connection came for.
    func dropStreams() {
        for stream in streams {
            stream.handle?.close()
            stream.handle = nil
            stream.channel?.close()
            stream.channel = nil
        }
    }
}
