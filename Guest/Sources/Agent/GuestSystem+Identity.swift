import AgentProtocol
import FileTransfer
import GuestNetwork
import LinuxCalls

extension GuestSystem {
    /// Makes the machine another one, in the order in which a program could be told apart by it: randomness first.
    func become(_ identity: Identity) throws(Failure) {
        reseed(identity.seed)
        if identity.realTimeNanoseconds > 0 { correctClock(identity.realTimeNanoseconds) }
        if !identity.hostName.isEmpty {
            do throws(LinuxError) { try SystemControl.setHostName(identity.hostName.bytes) } catch {
                throw Failure(.hostName, error, "host name \"" + identity.hostName + "\"")
            }
            hostName = identity.hostName
        }
        writeNumbers(identity)
        try NetworkSetup.replace(identity.interfaces)
        if writesNameFiles {
            var names = Configuration()
            names.hostName = hostName
            names.interfaces = identity.interfaces
            names.nameServers = identity.nameServers
            names.searchDomains = identity.searchDomains
            names.hostEntries = identity.hostEntries
            NameFiles.write(names, root: commandsRootPath)
        }
        writeGeneration(identity.generation)
    }

    /// A seed that is mixed in counts when the generator is next seeded from its pool, which may be a minute later: so that
    /// is done at once. Programs that take random numbers without a system call (vDSO) are told of it by the kernel.
    @inline(never)
    private func reseed(_ seed: [UInt8]) {
        guard !seed.isEmpty, let random = try? FileTree.open(ByteString("/dev/urandom").bytes, .writeOnly) else {
            return
        }
        do throws(LinuxError) {
            try SystemControl.addEntropy(seed, to: random.number)
            try SystemControl.reseedRandom(random.number)
        } catch {
            Self.report("randomness: " + error.text)
        }
    }

    @inline(never)
    private func writeNumbers(_ identity: Identity) {
        let machine = ByteString(hexadecimal: identity.machineID)
        if identity.machineID.contains(where: { $0 != 0 }) {
            for path: ByteString in ["/etc/machine-id", "/var/lib/dbus/machine-id"] where isFile(path) {
                replaceNumber(path, machine + "\n", keptAs: "machine-id")
            }
        }
        // The kernel drew it at its start and lets nobody set it. What every process reads is a file of ours instead; one that
        // mounts a `/proc` of its own sees the kernel's.
        let boot = ByteString(uuid: randomBytes(16))
        replaceNumber("/proc/sys/kernel/random/boot_id", boot + "\n", keptAs: "boot_id")
    }

    @inline(never)
    private func isFile(_ path: ByteString) -> Bool {
        guard let file = try? open(path, [.path]) else { return false }
        return (try? FileTree.facts(in: file.number))?.kind == .regular
    }

    /// Writes to a file, or, where it cannot be written, puts one of ours in its place.
    @inline(never)
    private func replaceNumber(_ path: ByteString, _ text: ByteString, keptAs name: ByteString) {
        guard isFile(path) else { return }
        if let file = try? open(path, [.writeOnly, .truncate]), (try? writeAll(file.number, text.bytes)) != nil,
            contents(path, maximumBytes: 256) == text.bytes
        {
            return
        }
        guard let own = writeOwn(name, text) else { return Self.report(path + " cannot be replaced") }
        // A mount that an earlier identity made shows the new text already.
        if contents(path, maximumBytes: 256) == text.bytes { return }
        Self.mount(commandsRootPath + own, commandsRootPath + path, "", [.bind])
    }

    @inline(never)
    private func writeGeneration(_ generation: [UInt8]) {
        guard generation.contains(where: { $0 != 0 }) else { return }
        if writeOwn("generation", ByteString(hexadecimal: generation) + "\n") == nil {
            Self.report("the generation cannot be written")
        }
    }

    /// Writes a file of the agent's: in `/run/swiftlet`, or, where that cannot be written, in `/dev/swiftlet`. Whoever reads
    /// sees the old text or the new one.
    /// - Returns: its path for commands.
    @inline(never)
    private func writeOwn(_ name: ByteString, _ text: ByteString) -> ByteString? {
        for folder: ByteString in ["/run/swiftlet", "/dev/swiftlet"] {
            let base = commandsRootPath + folder
            Self.makePath(base)
            let path = base + "/" + name
            let new = base + "/." + name
            try? FileTree.remove(new.bytes)
            guard let file = try? FileTree.open(new.bytes, [.writeOnly, .create, .exclusive], mode: 0o444),
                (try? writeAll(file.number, text.bytes)) != nil,
                (try? FileTree.rename(new.bytes, to: path.bytes)) != nil
            else { continue }
            return folder + "/" + name
        }
        return nil
    }
}

extension ByteString {
    init(hexadecimal bytes: [UInt8]) {
        var digits: [UInt8] = []
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] { digits.append(digit + (digit < 10 ? 0x30 : 0x57)) }
        }
        self.init(digits)
    }

    /// A random number's usual form. Source: RFC 9562 §5.4 (version 4).
    init(uuid bytes: [UInt8]) {
        var bytes = bytes
        bytes[6] = bytes[6] & 0x0f | 0x40
        bytes[8] = bytes[8] & 0x3f | 0x80
        var text = ByteString(hexadecimal: bytes)
        for position in [20, 16, 12, 8] { text.bytes.insert(UInt8(ascii: "-"), at: position) }
        self = text
    }
}
