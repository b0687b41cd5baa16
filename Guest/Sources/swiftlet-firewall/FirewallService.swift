import AgentProtocol
import ApplianceGuest
import ChildPrograms
import FileTransfer
import FirewallPlan
import LinuxCalls

/// What goes on once the firewall is in force: the name service is kept running, the page is shown.
final class FirewallService: EventHandler {
    static let nameService: ByteString = "/usr/sbin/dnsmasq"
    static let configuration: ByteString = Firewall.folder + "/dnsmasq.conf"
    /// Long enough for a health check to see that it ended, short enough for people to wait.
    private static let restartNanoseconds: UInt64 = 15_000_000_000
    private static let tickNanoseconds: UInt64 = 1_000_000_000

    static let processFile: ByteString = Firewall.folder + "/pid"
    private var settings: FirewallSettings
    private let loop: EventLoop
    private let signals: SignalFile
    private let timer: TimerFile
    private var page: PageServer?
    private var nameServiceProcess: Int32?
    private var restartTime: UInt64 = 0
    private var status: Int32 = 0
    private var isReloading = false

    private enum Token {
        static let signal: UInt32 = 0
        static let timer: UInt32 = 1
    }

    init(_ settings: FirewallSettings) throws(Firewall.Refusal) {
        self.settings = settings
        do throws(LinuxError) {
            loop = try EventLoop()
            signals = try SignalFile(
                SignalSet(SignalNumber.child, SignalNumber.terminate, SignalNumber.interrupt, SignalNumber.hangUp))
            timer = try TimerFile()
            _ = try loop.add(signals.descriptor.number, .readable, handler: self, token: Token.signal)
            _ = try loop.add(timer.descriptor.number, .readable, handler: self, token: Token.timer)
            try timer.arm(firstNanoseconds: Self.tickNanoseconds, intervalNanoseconds: Self.tickNanoseconds)
            try openPage()
        } catch {
            throw Firewall.Refusal(reason: "the firewall's own service cannot be started: " + error.text)
        }
        try Firewall.write(ByteString(UInt32(bitPattern: Children.own)), to: Self.processFile)
        do throws(LinuxError) { try startNameService() } catch {
            throw Firewall.Refusal(reason: "the name service cannot be started: " + error.text)
        }
    }

    /// On the inside address that counts, if anywhere.
    private func openPage() throws(LinuxError) {
        page?.close()
        page = nil
        guard let port = settings.statusPort else { return }
        let settings = settings
        page = try PageServer(on: settings.inside.address.address, port: port, loop: loop) { request in
            FirewallPage.answer(request, settings)
        }
    }

    /// What `apply` has brought into effect.
    private func takeSettings() {
        do throws(Firewall.Refusal) { settings = try Firewall.readSettings() } catch {
            return Firewall.report(error.reason)
        }
        do throws(LinuxError) { try openPage() } catch {
            Firewall.report("the status page cannot be shown: " + error.text)
        }
        Firewall.report("other settings are in force")
        restartTime = 0
        guard let nameServiceProcess else { return restartNameService() }
        isReloading = true
        try? Children.signal(nameServiceProcess, SignalNumber.terminate)
    }

    func run() -> Int32 {
        loop.run()
        return status
    }

    private func startNameService() throws(LinuxError) {
        nameServiceProcess = try Programs.start([
            Self.nameService, "--keep-in-foreground", "--conf-file=" + Self.configuration,
        ])
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        guard token == Token.signal else {
            timer.drain()
            page?.endSlow()
            restartNameService()
            return
        }
        while let signal = signals.next() {
            if signal == SignalNumber.hangUp {
                takeSettings()
                continue
            }
            guard signal == SignalNumber.child else {
                if let nameServiceProcess { try? Children.signal(nameServiceProcess, SignalNumber.terminate) }
                loop.stop()
                return
            }
            while let child = try? Children.reap() {
                if child.process == nameServiceProcess { noteEnd(child.end) }
            }
        }
    }

    private func noteEnd(_ end: ChildEnd) {
        nameServiceProcess = nil
        if isReloading {
            isReloading = false
            restartTime = 0
            return restartNameService()
        }
        restartTime = Clock.monotonic.nanoseconds() &+ Self.restartNanoseconds
        let how: ByteString =
            switch end {
            case .exited(let status): "with status " + ByteString(status)
            case .signalled(let signal): "by signal " + ByteString(signal)
            }
        Firewall.report("the name service ended " + how + "; it is started again in 15 s")
    }

    private func restartNameService() {
        guard nameServiceProcess == nil, Clock.monotonic.nanoseconds() >= restartTime else { return }
        do throws(LinuxError) { try startNameService() } catch {
            restartTime = Clock.monotonic.nanoseconds() &+ Self.restartNanoseconds
            Firewall.report("the name service cannot be started: " + error.text)
        }
    }
}
