import AgentProtocol
import FileTransfer
import LinuxCalls

/// The programs of an image that want to know that their machine has become another one: executables in
/// `/etc/swiftlet/cloned.d`, run one after the other while everything else is held.
final class CloneHooks {
    static let folder: ByteString = "/etc/swiftlet/cloned.d"
    private static let patienceMilliseconds: UInt64 = 5000
    private static let maximumCount = 64

    private let server: AgentServer
    private let generation: ByteString
    private let completion: () -> Void
    private var names: [[UInt8]]
    private var count = 0
    private var running: (name: ByteString, process: Int32, deadline: UInt32)?

    init(_ server: AgentServer, _ identity: Identity, _ completion: @escaping () -> Void) {
        self.server = server
        generation = ByteString(hexadecimal: identity.generation)
        self.completion = completion
        names = []
        guard let folder = try? server.system.open(Self.folder, [.readOnly, .directory]),
            let found = try? FileTree.names(in: folder.number)
        else { return }
        // Not sorted: the first of them is looked for each time, in a tenth of the code.
        names = found.filter { $0.first != UInt8(ascii: ".") }
    }

    func runNext() {
        while count < Self.maximumCount, let name = takeFirst() {
            count += 1
            guard let process = start(name) else { continue }
            let deadline = server.deadlines.after(milliseconds: Self.patienceMilliseconds) {
                GuestSystem.report(Self.folder + "/" + name + " took longer than 5 seconds and was ended")
                try? Children.signal(-process, SignalNumber.kill)
            }
            running = (name, process, deadline)
            return
        }
        completion()
    }

    private func takeFirst() -> ByteString? {
        guard var first = names.first else { return nil }
        for name in names where name.lexicographicallyPrecedes(first) { first = name }
        names.removeAll { $0 == first }
        return ByteString(first)
    }

    /// Whether the child that has ended was one of these.
    func ended(_ process: Int32) -> Bool {
        guard let running, running.process == process else { return false }
        self.running = nil
        server.deadlines.cancel(running.deadline)
        runNext()
        return true
    }

    private func start(_ name: ByteString) -> Int32? {
        let path = Self.folder + "/" + name
        do throws(Failure) {
            var command = try server.system.command(
                for: Start(
                    arguments: [path], environment: ["SWIFTLET_GENERATION=" + generation],
                    streams: .pipes(input: false, output: false, error: false), streamOrigin: .host,
                    token: Token(first: 0, second: 0)))
            guard let null = try? FileTree.open(ByteString("/dev/null").bytes, .readWrite),
                // What it says is seen on the console.
                let output = try? fileControl(2, 0, 3)
            else { return nil }
            let handle = Handle(FileDescriptor(owning: output))
            command.standardDescriptors = (null.number, handle.number, handle.number)
            do throws(ChildFailure) { return try Children.start(command) } catch {
                throw Failure(.internal, error.error, path)
            }
        } catch {
            GuestSystem.report(error.text)
            return nil
        }
    }
}
