// SPDX-License-Identifier: AGPL-3.0-or-later
pragma solidity ^0.8.20;

/// A token from before `indexed` was usual: its Transfer has all three fields in the data. Its symbol is hostile.
contract OldToken {
    string public constant symbol = "USDT\u202e\x00\x1b[31m";
    uint8 public constant decimals = 255;
    mapping(address => uint256) public balanceOf;

    event Transfer(address from, address to, uint256 value);

    constructor() {
        balanceOf[msg.sender] = 1e30;
        emit Transfer(address(0), msg.sender, 1e30);
    }

    function transfer(address to, uint256 value) external {
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
        emit Transfer(msg.sender, to, value);
    }
}

/// A token that names no symbol and no decimals, whose amounts have up to 78 digits, and which writes what it likes.
contract Forger {
    mapping(address => uint256) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 value);

    /// A transfer that never was: nobody's balance changes.
    function forge(address from, address to, uint256 value) external {
        emit Transfer(from, to, value);
    }

    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    /// Logs with the signature of Transfer and another form, of which none is a transfer.
    function lookalikes(address from, address to) external {
        bytes32 signature = keccak256("Transfer(address,address,uint256)");
        bytes32 a = bytes32(uint256(uint160(from)));
        bytes32 b = bytes32(uint256(uint160(to)));
        assembly {
            mstore(0, 7)
            log1(0, 0, signature)
            log1(0, 32, signature)
            log2(0, 32, signature, a)
            log3(0, 0, signature, a, b)
            log3(0, 31, signature, a, b)
            log3(0, 64, signature, a, b)
            log4(0, 32, signature, a, b, 7)
            log0(0, 32)
        }
    }
}
