import ChildProcesses
import HostFiles
import JSONValues
import LinuxCalls

/// A program that keeps credentials: `docker-credential-NAME`.
///
/// It is asked by a word on its command line and text on its input, and answers on its output. What it says on its
/// error output is not looked at.
/// Source: docker/docker-credential-helpers, README, "Development".
struct CredentialHelper {
    let name: String
    /// Where programs are looked for, as in `PATH`.
    private let searchPath: String

    /// How long it may take; it may have to ask the person.
    private static let timeLimit = Duration.seconds(60)
    private static let maximumAnswerBytes = 1 << 16

    /// - Throws: `.unusableCredentials` when the name, which stands in a file, is no plain one.
    init(_ name: String, searchPath: String) throws(RegistryError) {
        let isPlain = name.utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
                || "._-".utf8.contains($0)
        }
        guard isPlain, (1...100).contains(name.utf8.count) else {
            throw RegistryError(
                .unusableCredentials,
                "\"\(Printable.text(name, limit: 100))\" cannot name a program that keeps credentials; correct "
                    + "credsStore or credHelpers in the file of credentials")
        }
        self.name = name
        self.searchPath = searchPath
    }

    /// Nil when it has none.
    func get(_ server: String) async throws(RegistryError) -> Credential? {
        let (isSuccess, answer) = try await ask("get", Array(server.utf8))
        guard isSuccess else {
            let text = String(decoding: answer, as: UTF8.self)
            if text.contains("credentials not found") { return nil }
            throw failed("get", text)
        }
        guard let value = JSONValue(answer), let user = value["Username"]?.text, let secret = value["Secret"]?.text
        else {
            // Some say "none" with two empty texts.
            if JSONValue(answer)?["Secret"] == .text("") { return nil }
            throw failed("get", "its answer is not what such programs say")
        }
        return user == "<token>" ? .identityToken(secret) : .password(user: user, password: secret)
    }

    func store(_ credential: Credential, for server: String) async throws(RegistryError) {
        let (user, secret) =
            switch credential {
            case .password(let user, let password): (user, password)
            case .identityToken(let token), .registryToken(let token): ("<token>", token)
            }
        let value = JSONValue.object(["ServerURL": .text(server), "Username": .text(user), "Secret": .text(secret)])
        let (isSuccess, answer) = try await ask("store", value.bytes)
        if !isSuccess { throw failed("store", String(decoding: answer, as: UTF8.self)) }
    }

    func erase(_ server: String) async throws(RegistryError) {
        let (isSuccess, answer) = try await ask("erase", Array(server.utf8))
        let text = String(decoding: answer, as: UTF8.self)
        if !isSuccess && !text.contains("credentials not found") { throw failed("erase", text) }
    }

    /// Files in memory as both ends, so that nothing waits for the other side of a pipe.
    private func ask(_ verb: String, _ input: [UInt8]) async throws(RegistryError) -> (Bool, [UInt8]) {
        let folders = searchPath.split(separator: ":").filter { $0.hasPrefix("/") }
        let programs = folders.map { "\($0)/docker-credential-\(name)" }
        guard let program = programs.first(where: { (try? HostPath($0).status())?.isRegularFile == true }) else {
            throw failed(verb, "it is not in PATH")
        }
        do {
            let question = HostFile(owning: try memoryFile(name: "question", lengthBytes: 0), path: HostPath(program))
            let answer = HostFile(owning: try memoryFile(name: "answer", lengthBytes: 0), path: HostPath(program))
            try question.write(input, at: 0)
            var settings = ChildProcess.Settings([program, verb])
            settings.descriptors = [0: question.descriptorNumber, 1: answer.descriptorNumber]
            let child = try ChildProcess(settings)
            guard let ending = await Self.ending(of: child) else {
                throw failed(verb, "it did not end within \(Self.timeLimit)")
            }
            var bytes = [UInt8](repeating: 0, count: Self.maximumAnswerBytes)
            let count = try answer.read(bytes.count, at: 0, into: &bytes)
            return (ending == .exited(0), Array(bytes[..<count]))
        } catch let error as RegistryError {
            throw error
        } catch {
            throw failed(verb, "\(error)")
        }
    }

    /// Nil when it took too long, or nobody waits any more; it is then ended.
    private static func ending(of child: ChildProcess) async -> ChildProcess.Ending? {
        let end = ContinuousClock.now + timeLimit
        var isLate = false
        while true {
            // Once more when its time is over: this task may have slept far longer than it wanted.
            if let ending = child.endingIfEnded() { return ending }
            let isCancelled = (try? await Task.sleep(for: .milliseconds(5))) == nil
            if isCancelled || isLate {
                child.send(signal: 9)
                _ = child.wait()
                return nil
            }
            isLate = ContinuousClock.now > end
        }
    }

    private func failed(_ verb: String, _ why: String) -> RegistryError {
        RegistryError(
            .unusableCredentials,
            "docker-credential-\(name) \(verb): \(Printable.text(why, limit: 300)); install or repair it, or take it out "
                + "of credsStore or credHelpers in the file of credentials")
    }
}
