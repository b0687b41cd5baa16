import CLinux
import LinuxCalls
import Testing

@testable import Jail

/// What the programs say, worked out by a simulation of the kernel's machine.
@Suite struct FilterProgramTests {
    private let allow = FilterProgram.Action.allow.value
    private let refuse = FilterProgram.Action.trap(7).value
    private let end = FilterProgram.Action.endProcess.value

    private func program(_ rules: [Rule]) -> [FilterInstruction] {
        FilterProgram(rules, refused: .trap(7)).instructions
    }

    private static let interesting: [UInt64] = [
        0, 1, 2, 3, 4, 7, 8, 9, 0x22, 0x80, 0x81, 0x100, 0x5412, 0xae80, 0x80801, 0xffff_ffff, 0xffff_ffff_ffff_ffff,
        0x1_0000_0000, 0x1_0000_0003,
    ]

    @Test(arguments: ThreadRole.allCases)
    func `a role's program says of every call what its rules say`(role: ThreadRole) {
        var generator = SmallGenerator(seed: UInt64(role.rawValue))
        for parts in [JailedParts.all, [], .vsock, [.balloon, .network]] {
            let rules = RoleRules.rules(role, with: parts)
            let code = program(rules)
            for number in UInt32(0)..<470 {
                for _ in 0..<60 {
                    let arguments = (0..<6).map { _ in
                        Self.interesting[Int(generator.next() % UInt64(Self.interesting.count))]
                    }
                    let isAllowed = rules.contains { $0.allows(number, arguments) }
                    #expect(
                        simulate(code, FilteredCall(number: number, arguments: arguments))
                            == (isAllowed ? allow : refuse), "call \(number) \(arguments)")
                }
            }
        }
    }

    @Test(arguments: ThreadRole.allCases)
    func `each rule alone allows its call, and each of its checks counts`(role: ThreadRole) {
        for rule in RoleRules.rules(role, with: .all) {
            let code = program([rule])
            var arguments = [UInt64](repeating: 0, count: 6)
            for check in rule.checks { arguments[Int(check.index)] |= check.value }
            #expect(simulate(code, FilteredCall(number: rule.call.number, arguments: arguments)) == allow)
            for check in rule.checks {
                for bit in 0..<64 where check.mask >> UInt64(bit) & 1 != 0 {
                    var changed = arguments
                    changed[Int(check.index)] ^= 1 << UInt64(bit)
                    #expect(
                        simulate(code, FilteredCall(number: rule.call.number, arguments: changed)) == refuse,
                        "\(rule.label): bit \(bit) of argument \(check.index)")
                }
            }
        }
    }

    @Test func `calls of other interfaces end the process whatever the rules say`() {
        let code = program([Rule(.read, for: "test")])
        #expect(simulate(code, FilteredCall(number: 0)) == allow)
        #expect(simulate(code, FilteredCall(number: 0, architecture: 0x4000_0003)) == end)
        #expect(simulate(code, FilteredCall(number: 0x4000_0000)) == end)
        #expect(simulate(code, FilteredCall(number: .max)) == end)
    }

    @Test(arguments: ThreadRole.allCases)
    func `no role may make memory executable, start programs, or open what it is not for`(role: ThreadRole) {
        let code = program(RoleRules.rules(role, with: .all))
        for argument in Self.interesting {
            for protection: UInt64 in 4...7 {
                for call in [__NR_mmap, __NR_mprotect, 329] {
                    let arguments = [argument, 4096, protection, 0x22, .max, 0]
                    #expect(simulate(code, FilteredCall(number: UInt32(call), arguments: arguments)) == refuse)
                }
            }
            for call in SystemCallNumber.neverAllowed {
                #expect(
                    simulate(code, FilteredCall(number: call.number, arguments: [argument, argument, argument]))
                        == refuse, "\(call.name)")
            }
        }
        if role != .folder {
            #expect(simulate(code, FilteredCall(number: UInt32(__NR_openat), arguments: [])) == refuse)
        }
        // Below a folder that is open.
        if role != .folder, role != .control {
            #expect(simulate(code, FilteredCall(number: UInt32(__NR_openat2), arguments: [])) == refuse)
        }
    }

    @Test func `the API's thread opens what is there and makes what is new, and nothing else`() {
        let code = program(RoleRules.rules(.api, with: .all))
        func opens(_ flags: Int32, below directory: UInt64 = 0xffff_ff9c) -> Bool {
            simulate(
                code,
                FilteredCall(
                    number: UInt32(__NR_openat),
                    arguments: [directory, 0x1000, UInt64(UInt32(bitPattern: flags)), 0o600])
            ) == allow
        }
        #expect(opens(O_NONBLOCK | O_CLOEXEC))
        #expect(opens(O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC))
        #expect(!opens(O_RDWR | O_CREAT | O_CLOEXEC), "what is there would be opened or a link followed")
        #expect(!opens(O_WRONLY | O_TRUNC | O_CLOEXEC))
        #expect(!opens(O_RDWR | O_NONBLOCK), "another program would inherit it")
        #expect(!opens(O_NONBLOCK | O_CLOEXEC, below: 3))
    }

    @Test(arguments: ThreadRole.allCases)
    func `a role's rules name each call's checks once, and every program is short`(role: ThreadRole) {
        let rules = RoleRules.rules(role, with: .all)
        for (index, rule) in rules.enumerated() {
            #expect(SystemCallNumber.allowed.contains(rule.call), "\(rule.label) would be refused without a name")
            for other in rules[..<index] where other.call == rule.call {
                #expect(other.checks != rule.checks, "\(rule.label) stands there twice")
                #expect(!other.checks.isEmpty, "\(rule.label) stands behind a rule that allows all of it")
            }
        }
        #expect(program(rules).count < 512)
    }
}

/// A small generator with a seed. Source: Marsaglia, xorshift64.
struct SmallGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
